package condition

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/pattern"
)

// The library counts what an operation costs when it is done. An operation that can take long
// by itself, or fill the memory, is therefore bounded here, before it begins (S22): patterns,
// what looks for a text in another one, replaces and joins, what compares every element of one
// list with every one of another, and lists of lists, which few letters make grow without end.
// What is beyond a bound has no value. What is within it, and is counted too low by the library,
// is counted here.
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
	// maxMade bounds the values in a list or a map that an expression writes down, at any depth.
	maxMade = 1_000
	// bytesPerCost is how much of a text or a message is gone through for one unit.
	bytesPerCost = 100
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
		finding("indexOf", "string_index_of_string", first),
		finding("lastIndexOf", "string_last_index_of_string", last),
		overTwoLists("contains", containsAll),
		overTwoLists("equivalent", func(a, b traits.Lister) ref.Val {
			if containsAll(a, b) != types.True {
				return types.False
			}
			return containsAll(b, a)
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

// containsAll reports whether a list contains all of another one.
func containsAll(list, all traits.Lister) ref.Val {
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
		if left -= max(len(s)+len(between), 1); left < 0 {
			return types.WrapErr(fmt.Errorf("%w: a text of more than %d bytes", errBound, maxText))
		}
		all = append(all, string(s))
	}
	return types.String(strings.Join(all, between))
}

// finding is a function that looks for a text in another one, from a place on where one is given.
func finding(name, overload string, find func(text, wanted []rune, from int) int) cel.EnvOption {
	text, whole := cel.StringType, cel.IntType
	binding := cel.FunctionBinding(func(args ...ref.Val) ref.Val {
		s, wanted := []rune(string(as[types.String](args[0]))), []rune(string(as[types.String](args[1])))
		if len(wanted) > 0 && len(s) > maxSteps/len(wanted) {
			return types.WrapErr(fmt.Errorf("%w: %d characters in %d", errBound, len(wanted), len(s)))
		}
		from := 0
		if name == "lastIndexOf" {
			from = len(s)
		}
		if len(args) > 2 {
			switch given := as[types.Int](args[2]); {
			case given < 0:
				return types.NewErr("index out of range: %d", given)
			case given >= types.Int(len(s)) && len(wanted) > 0:
				return types.IntNegOne
			default:
				from = int(min(given, types.Int(len(s))))
			}
		}
		if len(wanted) == 0 {
			return types.Int(from)
		}
		return types.Int(find(s, wanted, from))
	})
	return cel.Function(name,
		cel.MemberOverload(overload, []*cel.Type{text, text}, whole, binding),
		cel.MemberOverload(overload+"_int", []*cel.Type{text, text, whole}, whole, binding))
}

// first is the first place at or after one; -1 where there is none.
func first(text, wanted []rune, from int) int {
	for i := from; i+len(wanted) <= len(text); i++ {
		if slices.Equal(text[i:i+len(wanted)], wanted) {
			return i
		}
	}
	return -1
}

// last is the last place at or before one.
func last(text, wanted []rune, from int) int {
	for i := min(from, len(text)-len(wanted)); i >= 0; i-- {
		if slices.Equal(text[i:i+len(wanted)], wanted) {
			return i
		}
	}
	return -1
}

// written is a list or a map that an expression writes down. The library may ask it for what
// the embedded one knows.
type written struct {
	interpreter.InterpretableConstructor
}

// Exec makes the value, which is none where it is too large.
func (w written) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	made := w.InterpretableConstructor.Exec(frame)
	if leaves(made, maxMade+1) > maxMade {
		return types.WrapErr(fmt.Errorf("%w: a list or map of more than %d values", errBound, maxMade))
	}
	return made
}

// boundWritten bounds what an expression writes down.
func boundWritten(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	if c, ok := i.(interpreter.InterpretableConstructor); ok {
		return written{c}, nil
	}
	return i, nil
}

// costs counts what the library counts too low: the steps of a match, by the length of the
// pattern, and for one unit comparisons of what is in lists and maps, lists that are put
// together, and texts that are gone through.
type costs struct{}

func (costs) CallCost(function, overload string, args []ref.Val, result ref.Val) *uint64 {
	n := 0
	if failed, ok := result.(*types.Err); ok {
		if !errors.Is(failed, errBound) {
			return nil
		}
		n = refusedCost
	}
	switch {
	case n > 0:
	case strings.HasPrefix(function, sets) && len(args) == 2:
		la, lb := as[traits.Lister](args[0]), as[traits.Lister](args[1])
		if la == nil || lb == nil {
			return nil
		}
		n = int(as[types.Int](la.Size()) * as[types.Int](lb.Size()))
	case (overload == overloads.Matches || overload == overloads.MatchesString) && len(args) == 2:
		weight, all, err := steps(string(as[types.String](args[0])), string(as[types.String](args[1])))
		if err != nil {
			return nil
		}
		n = weight/weightPerCost + all/stepsPerCost
	case strings.HasSuffix(function, "ndexOf") && len(args) > 1:
		n = len(as[types.String](args[0])) * max(len(as[types.String](args[1])), 1) / stepsPerCost
	case compares[function] && len(args) == 2:
		n = leaves(args[0], maxCost) + leaves(args[1], maxCost)
	case function == operators.Add && len(args) == 2 && as[traits.Lister](result) != nil:
		// What is put to a list is counted, and not the list, or collecting would cost its square.
		n = leaves(args[1], maxCost)
		n = min(n, leaves(args[0], n+1))
	case reads[function] && len(args) == 1:
		n = (len(as[types.String](args[0])) + len(as[types.Bytes](args[0]))) / bytesPerCost
	default:
		return nil
	}
	cost := uint64(n) + 1
	return &cost
}

// compares are operators that look at all that is in lists and maps, for one unit by the
// library's count; reads are functions that go through all of a text.
var (
	compares = map[string]bool{operators.Equals: true, operators.NotEquals: true, operators.In: true}
	reads    = map[string]bool{
		overloads.Size: true, overloads.TypeConvertInt: true, overloads.TypeConvertUint: true, overloads.TypeConvertDouble: true,
		overloads.TypeConvertBytes: true, overloads.TypeConvertString: true, overloads.TypeConvertTimestamp: true, overloads.TypeConvertDuration: true,
	}
)

// leaves are how many values there are in a list or a map, at any depth, and of a message about
// how many, up to a bound.
func leaves(v ref.Val, most int) int {
	iterable, ok := v.(traits.Iterable)
	if !ok {
		if m, ok := v.Value().(proto.Message); ok {
			return min(proto.Size(m)/bytesPerCost, most)
		}
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
