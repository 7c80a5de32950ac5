// Package condition compiles and evaluates the rules of the procedure document: CEL
// over the protobuf messages that a decision sees.
//
// A rule is compiled when the document is read, so that a slip is found there, with its
// line and column. It is evaluated with a bounded cost, which does not depend on how
// fast the machine is: the same facts give the same answer everywhere and always. What
// cannot be evaluated is an error, and never true.
package condition

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/blackdice/shipwarden/internal/pattern"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// maxSource and maxDepth bound an expression: characters, and how deep it nests.
	maxSource = 4096
	maxDepth  = 32
	// maxCost bounds an evaluation, in CEL's units: some milliseconds, whatever it does (S22).
	// A rule that looks for ten names among a hundred costs a few thousand.
	maxCost = 20_000
)

// predicate is a name of its own: read as a field, all of it would be copied each time, for the
// price of one step.
const predicate = "attestation.predicate"

var (
	// ErrSyntax means that an expression is none, or is not of type bool.
	ErrSyntax = errors.New("no condition")
	// ErrEvaluation means that a condition has no value for these facts.
	ErrEvaluation = errors.New("cannot be evaluated")
)

// Facts is what a condition sees. Whatever is nil is empty.
type Facts struct {
	Attestation *policyv1.Attestation
	Artifact    *releasev1.Artifact
	Request     *releasev1.Request
	// Authors and Reviewers are ids of people.
	Authors, Reviewers []string
	// Groups holds the ids of the people in each group.
	Groups map[string][]string
	Now    time.Time
}

// Condition is a compiled expression. It may be used by several goroutines at once.
type Condition struct{ program cel.Program }

var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewCustomEnv(append(bounded(),
		cel.Types(&policyv1.Attestation{}, &releasev1.Artifact{}, &releasev1.Request{}),
		cel.Variable("attestation", cel.ObjectType("shipwarden.policy.v1.Attestation")),
		cel.Variable(predicate, cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("artifact", cel.ObjectType("shipwarden.release.v1.Artifact")),
		cel.Variable("request", cel.ObjectType("shipwarden.release.v1.Request")),
		cel.Variable("authors", cel.ListType(cel.StringType)),
		cel.Variable("reviewers", cel.ListType(cel.StringType)),
		cel.Variable("groups", cel.MapType(cel.StringType, cel.ListType(cel.StringType))),
		cel.Variable("now", cel.TimestampType),
		cel.ParserExpressionSizeLimit(maxSource), cel.ParserRecursionLimit(maxDepth),
	)...)
})

// Compile compiles an expression. Errors wrap ErrSyntax and name the line and column
// within the expression, both from 1.
func Compile(expression string) (*Condition, error) {
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("make the environment of conditions: %w", err)
	}
	compiled, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		var all []string
		for _, e := range issues.Errors() {
			all = append(all, fmt.Sprintf("%d:%d: %s", e.Location.Line(), max(e.Location.Column()+1, 1), e.Message))
		}
		return nil, fmt.Errorf("%w: %s", ErrSyntax, strings.Join(all, "; "))
	}
	if compiled.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("%w: 1:1: it is of type %s, and not bool", ErrSyntax, compiled.OutputType())
	}
	if err := allowed(compiled.NativeRep()); err != nil {
		return nil, err
	}
	program, err := env.Program(compiled, cel.CostTracking(costs{}), cel.CostLimit(maxCost), cel.CustomDecoratorV2(boundWritten))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	return &Condition{program}, nil
}

// allowed refuses an expression that calls what conditions do without, uses an attestation in
// another way than by its fields, since it would see no predicate there, or has a pattern that is
// none.
func allowed(compiled *ast.AST) (err error) {
	refuse := func(e ast.Expr, format string, args ...any) {
		if err == nil {
			at := compiled.SourceInfo().GetStartLocation(e.ID())
			err = fmt.Errorf("%w: %d:%d: %s", ErrSyntax, at.Line(), max(at.Column()+1, 1), fmt.Sprintf(format, args...))
		}
	}
	for _, e := range ast.MatchDescendants(ast.NavigateAST(compiled), func(ast.NavigableExpr) bool { return true }) {
		switch e.Kind() {
		case ast.StructKind:
			refuse(e, "a condition makes no messages")
		case ast.IdentKind:
			if parent, ok := e.Parent(); e.AsIdent() == "attestation" && (!ok || parent.Kind() != ast.SelectKind) {
				refuse(e, "an attestation is used by its fields, as attestation.signer")
			}
		case ast.SelectKind:
			if e.AsSelect().FieldName() == "predicate" && e.AsSelect().Operand().Kind() == ast.IdentKind && e.AsSelect().Operand().AsIdent() == "attestation" {
				refuse(e, "an attestation always has a predicate; ask for a field of it")
			}
		case ast.CallKind:
			call := e.AsCall()
			if withheld[call.FunctionName()] {
				refuse(e, "a condition has no use for %s", call.FunctionName())
			}
			if args := call.Args(); call.FunctionName() == overloads.Matches && len(args) > 0 && args[len(args)-1].Kind() == ast.LiteralKind {
				if text, ok := args[len(args)-1].AsLiteral().(types.String); ok {
					if _, wrong := pattern.Weight(string(text)); wrong != nil {
						refuse(args[len(args)-1], "%v", wrong)
					}
				}
			}
		default:
		}
	}
	return err
}

// Holds reports whether the condition is true of the facts. Errors wrap ErrEvaluation,
// and the answer is false then.
func (c *Condition) Holds(f Facts) (bool, error) {
	value, _, err := c.program.Eval(map[string]any{
		"attestation": bare(f.Attestation), predicate: orEmpty(f.Attestation.GetPredicate()), "artifact": orEmpty(f.Artifact), "request": orEmpty(f.Request),
		"authors": f.Authors, "reviewers": f.Reviewers, "groups": f.Groups, "now": types.Timestamp{Time: f.Now},
	})
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrEvaluation, err)
	}
	return value == types.True, nil
}

// bare is an attestation without its predicate, which has a name of its own.
func bare(a *policyv1.Attestation) *policyv1.Attestation {
	out := &policyv1.Attestation{}
	a.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Name() != "predicate" {
			out.ProtoReflect().Set(field, value)
		}
		return true
	})
	return out
}

func orEmpty[T any](m *T) *T {
	if m == nil {
		return new(T)
	}
	return m
}
