package metrics

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/shaketest"
)

// FuzzAnswer has answers of any bytes: what is taken of them are points at times that were
// asked for, in their order, as many as there can be, each of which is a number or says that
// it is none.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1764414009.123,"0.5"]}]}}`,
		`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1764413979,"1"],[1764413989,"NaN"],[1764414009,"+Inf"]]}]}}`,
		`{"status":"success","warnings":["x"],"data":{"resultType":"vector","result":[]}}`,
		`{"status":"success","isPartial":false,"infos":[],"data":{"resultType":"vector","result":[{"metric":{},"value":[1e9,"1e999"]},{"metric":{"a":"1"},"value":[0,"-0"]}]}}`,
		`{"status":"error","errorType":"bad_data","error":"x"}`,
	} {
		shaketest.Add(f, []byte(seed), true)
		shaketest.Add(f, []byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, over bool) {
		q := Question{Query: "up", At: time.UnixMilli(1764414009123)}
		most := 1
		if over {
			q.Over, q.Step, most = 30*time.Second, 10*time.Second, 4
		}
		kind, text := complaint(body)
		found, err := parse(body, q)
		if err != nil {
			if found != nil {
				t.Errorf("%v beside %v", found, err)
			}
			return
		}
		if kind != "" {
			t.Errorf("%v, and it complains %s: %s", found, kind, text)
		}
		first, last := q.times()
		for _, s := range found {
			if len(s) == 0 || len(s) > most {
				t.Errorf("%d points", len(s))
			}
			for i, p := range s {
				if p.Time.After(last) || over && p.Time.Before(first) || i > 0 && !p.Time.After(s[i-1].Time) {
					t.Errorf("%v", s)
				}
				n, ok := p.Number()
				if len(p.Value) > 24 || ok && (math.IsNaN(n) || math.IsInf(n, 0)) || !ok && p.Value != "NaN" && p.Value != "+Inf" && p.Value != "-Inf" {
					t.Errorf("%q is %v, %v", p.Value, n, ok)
				}
				if again, fine := number(p.Value); !fine || again != p.Value {
					t.Errorf("%q is read again as %q", p.Value, again)
				}
				if strings.ContainsAny(p.Value, "\"\\\x00") {
					t.Errorf("%q", p.Value)
				}
			}
		}
	})
}
