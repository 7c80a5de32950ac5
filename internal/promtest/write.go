package promtest

import (
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Value is a value at a time.
type Value struct {
	Time  time.Time
	Value float64
}

// Stale is what Prometheus writes where a series ends.
func Stale() float64 { return math.Float64frombits(0x7ff0000000000002) }

// Write stores values of one series, in the order of their times, by the protocol of remote
// write. It returns when they can be asked for.
func (s *Server) Write(t testing.TB, labels map[string]string, values ...Value) {
	t.Helper()
	body := bytes.NewReader(uncompressed(series(labels, values)))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v1/write", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	request.Header.Set("Content-Encoding", "snappy")
	request.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if said, _ := io.ReadAll(io.LimitReader(response.Body, 4096)); response.StatusCode/100 != 2 {
		t.Fatalf("write: status %d: %s", response.StatusCode, said)
	}
}

// series is prometheus.WriteRequest with one series: {timeseries: [{labels: [{name, value}],
// samples: [{value, timestamp}]}]}. Labels are in the order of their names.
func series(labels map[string]string, values []Value) []byte {
	var one []byte
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		var label []byte
		label = protowire.AppendString(protowire.AppendTag(label, 1, protowire.BytesType), name)
		label = protowire.AppendString(protowire.AppendTag(label, 2, protowire.BytesType), labels[name])
		one = protowire.AppendBytes(protowire.AppendTag(one, 1, protowire.BytesType), label)
	}
	for _, v := range values {
		var sample []byte
		sample = protowire.AppendFixed64(protowire.AppendTag(sample, 1, protowire.Fixed64Type), math.Float64bits(v.Value))
		sample = protowire.AppendVarint(protowire.AppendTag(sample, 2, protowire.VarintType), uint64(v.Time.UnixMilli()))
		one = protowire.AppendBytes(protowire.AppendTag(one, 2, protowire.BytesType), sample)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), one)
}

// uncompressed is a block of the format Snappy that compresses nothing: the length, and then
// literals of at most 64 KiB.
func uncompressed(data []byte) []byte {
	out := binary.AppendUvarint(nil, uint64(len(data)))
	for chunk := range slices.Chunk(data, 1<<16) {
		out = append(out, 61<<2)
		out = binary.LittleEndian.AppendUint16(out, uint16(len(chunk)-1)) //nolint:gosec // A chunk has 64 KiB at most.
		out = append(out, chunk...)
	}
	return out
}
