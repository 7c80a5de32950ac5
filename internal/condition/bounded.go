package condition

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"github.com/blackdice/shipwarden/internal/pattern"
)

// The library counts what an operation costs when it is done. An operation that can take long
// by itself, or fill the memory, is therefore bounded here, before it begins (S22): patterns,
// what replaces and joins, and what compares every element of one list with every one of
// another. What is beyond a bound has no value.
const (
	// maxSteps bounds one match: characters of the text, by what the pattern weighs.
	maxSteps = 500_000
	// stepsPerCost is how many of these steps cost one unit, and weightPerCost how much of the
	// weight of a pattern, which is compiled each time.
	stepsPerCost, weightPerCost = maxSteps / maxCost, 5
	// refusedCost is what it costs to find that an operation is beyond its bound.
	refusedCost = 100
	// maxText bounds a text that is made, in bytes, like an attestation.
	maxText = 64 << 10
	// maxPairs bounds the comparisons of two lists.
	maxPairs = maxCost
)

// errBound is what an operation ends with that is beyond its bound.
var errBound = errors.New("it would look at too much")

// withheld are functions of the libraries that conditions do without: a text is compared, and
// not laid out.
var withheld = map[string]bool{"format": true, "strings.quote": true}

// bounded are the functions of conditions: those of CEL and of its extensions for texts and
// sets, with the bounds above.
func bounded() []cel.EnvOption {
	text, texts := cel.StringType, cel.ListType(cel.StringType)
	replacing := cel.FunctionBinding(func(args ...ref.Val) ref.Val { return replace(args) })
	return []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(&env.LibrarySubset{ExcludeFunctions: []*env.Function{env.NewFunction(overloads.Matches)}})),
		ext.Strings(),
		cel.Function(overloads.Matches,
			cel.Overload(overloads.Matches, []*cel.Type{text, text}, cel.BoolType),
			cel.MemberOverload(overloads.MatchesString, []*cel.Type{text, text}, cel.BoolType),
			cel.SingletonBinaryBinding(matches)),
		cel.Function("replace",
			cel.MemberOverload("string_replace_string_string", []*cel.Type{text, text, text}, text, replacing),
			cel.MemberOverload("string_replace_string_string_int", []*cel.Type{text, text, text, cel.IntType}, text, replacing)),
		cel.Function("join",
			cel.MemberOverload("list_join", []*cel.Type{texts}, text,
				cel.UnaryBinding(func(list ref.Val) ref.Val { return join(list, "") })),
			cel.MemberOverload("list_join_string", []*cel.Type{texts, text}, text,
				cel.BinaryBinding(func(list, between ref.Val) ref.Val { return join(list, string(as[types.String](between))) }))),
		overTwoLists("contains", func(a, b traits.Lister) ref.Val { return has(a, b) }),
		overTwoLists("equivalent", func(a, b traits.Lister) ref.Val {
			if has(a, b) != types.True {
				return types.False
			}
			return has(b, a)
		}),
		overTwoLists("intersects", func(a, b traits.Lister) ref.Val {
			for it := a.Iterator(); it.HasNext() == types.True; {
				if b.Contains(it.Next()) == types.True {
					return types.True
				}
			}
			return types.False
		}),
	}
}

// sets are functions of the extension of that name.
const sets = "sets."

// overTwoLists is one of them.
func overTwoLists(name string, of func(a, b traits.Lister) ref.Val) cel.EnvOption {
	list := cel.ListType(cel.TypeParamType("T"))
	return cel.Function(sets+name, cel.Overload("list_sets_"+name+"_list", []*cel.Type{list, list}, cel.BoolType,
		cel.BinaryBinding(func(a, b ref.Val) ref.Val {
			la, lb := as[traits.Lister](a), as[traits.Lister](b)
			if la == nil || lb == nil {
				return types.MaybeNoSuchOverloadErr(a)
			}
			if na, nb := as[types.Int](la.Size()), as[types.Int](lb.Size()); nb > 0 && na > maxPairs/nb {
				return types.WrapErr(fmt.Errorf("%w: lists of %d and %d elements", errBound, na, nb))
			}
			return of(la, lb)
		})))
}

// has reports whether a list contains all of another one.
func has(list, all traits.Lister) ref.Val {
	for it := all.Iterator(); it.HasNext() == types.True; {
		if list.Contains(it.Next()) != types.True {
			return types.False
		}
	}
	return types.True
}

// as is a value of a type, which the checker or the dispatcher has seen to; the zero one otherwise.
func as[T any](v ref.Val) T {
	t, _ := v.(T)
	return t
}

func matches(text, expression ref.Val) ref.Val {
	s, p := string(as[types.String](text)), string(as[types.String](expression))
	if _, _, err := steps(s, p); err != nil {
		return types.WrapErr(err)
	}
	compiled, err := pattern.Compile(p)
	if err != nil {
		return types.WrapErr(err)
	}
	return types.Bool(compiled.MatchString(s))
}

// steps is what a pattern weighs, and how long a match can take: that for each character. It is
// an error where one of them is beyond its bound, or the pattern is none.
func steps(text, p string) (weight, n int, err error) {
	if weight, err = pattern.Weight(p); err != nil {
		return 0, 0, fmt.Errorf("%w: %w", errBound, err)
	}
	if len(text)+1 > maxSteps/weight {
		return 0, 0, fmt.Errorf("%w: a pattern of a weight of %d over %d characters", errBound, weight, len(text))
	}
	return weight, weight * (len(text) + 1), nil
}

// replace takes text, what is replaced by what, and how often at the most, where that is said.
func replace(args []ref.Val) ref.Val {
	s, old, by := string(as[types.String](args[0])), string(as[types.String](args[1])), string(as[types.String](args[2]))
	times := strings.Count(s, old)
	if len(args) > 3 {
		if most := as[types.Int](args[3]); most >= 0 {
			times = min(times, int(min(most, maxText)))
		}
	}
	if grows := len(by) - len(old); grows > 0 && times > (maxText-min(len(s), maxText))/grows {
		return types.WrapErr(fmt.Errorf("%w: %d times %d bytes instead of %d", errBound, times, len(by), len(old)))
	}
	return types.String(strings.Replace(s, old, by, times))
}

func join(list ref.Val, between string) ref.Val {
	var all []string
	left := maxText
	elements := as[traits.Lister](list)
	if elements == nil {
		return types.MaybeNoSuchOverloadErr(list)
	}
	for it := elements.Iterator(); it.HasNext() == types.True; {
		s, ok := it.Next().(types.String)
		if !ok {
			return types.WrapErr(errors.New("join: an element is no text"))
		}
		if left -= len(s) + len(between); left < 0 {
			return types.WrapErr(fmt.Errorf("%w: a text of more than %d bytes", errBound, maxText))
		}
		all = append(all, string(s))
	}
	return types.String(strings.Join(all, between))
}

// costs counts what the library counts too low: the steps of a match, by the length of the
// pattern, and comparisons of what is in lists and maps.
type costs struct{}

func (costs) CallCost(function, overload string, args []ref.Val, result ref.Val) *uint64 {
	cost := uint64(1)
	switch {
	case types.IsError(result):
		cost = refusedCost
	case strings.HasPrefix(function, sets) && len(args) == 2:
		la, lb := as[traits.Lister](args[0]), as[traits.Lister](args[1])
		if la == nil || lb == nil {
			return nil
		}
		cost += uint64(as[types.Int](la.Size()) * as[types.Int](lb.Size())) //nolint:gosec // It is not negative.
	case (overload == overloads.Matches || overload == overloads.MatchesString) && len(args) == 2:
		weight, n, err := steps(string(as[types.String](args[0])), string(as[types.String](args[1])))
		if err != nil {
			return nil
		}
		cost += uint64(weight/weightPerCost + n/stepsPerCost) //nolint:gosec // They are not negative.
	case compares[function] && len(args) == 2:
		cost += uint64(leaves(args[0], maxCost) + leaves(args[1], maxCost)) //nolint:gosec // They are not negative.
	default:
		return nil
	}
	return &cost
}

// compares are operators that look at all that is in lists and maps, for one unit by the
// library's count.
var compares = map[string]bool{operators.Equals: true, operators.NotEquals: true, operators.In: true}

// leaves are how many values there are in a list or a map, at any depth, up to a bound.
func leaves(v ref.Val, most int) int {
	iterable, ok := v.(traits.Iterable)
	if !ok {
		return 0
	}
	n := 0
	for it := iterable.Iterator(); it.HasNext() == types.True && n < most; {
		next := it.Next()
		if m, ok := v.(traits.Mapper); ok {
			next = m.Get(next)
		}
		n += 1 + leaves(next, most-n)
	}
	return n
}
