package e2e

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	// What the descriptors of the recorder build on and every gRPC tool brings along.
	_ "google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/e2e/rig"
)

// Whoever speaks the protocols can use the product: clients that know nothing of it
// ask for releases, hear of them, read the record and watch the services. TestPlainClients
// shows the same with the programs that people use.
func TestPlainProtocols(t *testing.T) {
	t.Parallel()
	y := open(t, plan{})
	id := y.release(y.build("1.0.0", 0), "first", nil)
	y.reach(id, "closed") // What is heard from now on is of others.
	y.tell("NATS as text over a socket", (*yard).rawNATS)
	y.tell("a reply subject leads no answer anywhere else", (*yard).replies)
	y.tell("what users of the bus may not do", (*yard).forbidden)
	y.tell("gRPC by what the server says of itself", func(y *yard) { y.reflected(id) })
	y.tell("metrics as Prometheus wants them", func(y *yard) { y.metrics(id) })
}

// metrics lints what every service shows. Asked as OpenMetrics they name a release beside
// durations of its steps, and nowhere among the labels.
func (y *yard) metrics(release string) {
	for name, address := range y.HTTP {
		page := fetch(y.T, "http://"+address+"/metrics")
		if !strings.Contains(page, "shipwarden_") {
			y.Errorf("%s shows no metrics of its own", name)
		}
		problems, err := promlint.New(strings.NewReader(page)).Lint()
		if err != nil {
			y.Errorf("%s: %v", name, err)
		}
		for _, p := range problems {
			y.Errorf("%s: %s: %s", name, p.Metric, p.Text)
		}
		if strings.Contains(page, release) {
			y.Errorf("%s has a series of one release", name)
		}
	}
	y.eventually("a duration names the release", func() bool {
		open := y.openMetrics("http://" + y.HTTP["recorder"] + "/metrics")
		return strings.Contains(open, `} 1 # {release="`+release+`"}`) && strings.Contains(open, "shipwarden_release_duration_seconds_bucket")
	})
	y.eventually("a step's duration names a release", func() bool {
		return strings.Contains(y.openMetrics("http://"+y.HTTP["executor"]+"/metrics"), ` # {release="shop-`)
	})
	y.native("recorder", "shipwarden_release_duration_seconds")
	y.native("executor", "shipwarden_step_duration_seconds")
}

// native looks at a histogram as a Prometheus does that takes native ones: buckets of its
// own come beside those of the text.
func (y *yard) native(service, histogram string) {
	y.Helper()
	page := y.page("http://"+y.HTTP[service]+"/metrics", string(expfmt.NewFormat(expfmt.TypeProtoDelim)))
	decoder := expfmt.NewDecoder(strings.NewReader(page), expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); err != nil {
			y.Fatalf("%s shows no %s: %v", service, histogram, err)
		}
		if family.GetName() != histogram {
			continue
		}
		for _, m := range family.GetMetric() {
			if h := m.GetHistogram(); len(h.GetPositiveSpan()) == 0 || len(h.GetBucket()) == 0 {
				y.Errorf("%s: %s has %d native and %d classic buckets", service, histogram, len(h.GetPositiveSpan()), len(h.GetBucket()))
			}
		}
		return
	}
}

// openMetrics asks for a page as a Prometheus does that takes exemplars.
func (y *yard) openMetrics(url string) string {
	y.Helper()
	return y.page(url, "application/openmetrics-text; version=1.0.0")
}

// page asks for a page in a form.
func (y *yard) page(url, accept string) string {
	y.Helper()
	req, err := http.NewRequestWithContext(y.Context(), http.MethodGet, url, nil)
	if err != nil {
		y.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		y.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		y.Fatal(err)
	}
	return string(body)
}

// server is a gRPC server of which nothing is known but its address.
type server struct {
	*yard
	conn   *grpc.ClientConn
	stream grpc.BidiStreamingClient[reflectionv1.ServerReflectionRequest, reflectionv1.ServerReflectionResponse]
}

func (y *yard) stranger(address string) *server {
	y.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		y.Fatal(err)
	}
	y.Cleanup(func() { _ = conn.Close() })
	stream, err := reflectionv1.NewServerReflectionClient(conn).ServerReflectionInfo(y.Context())
	if err != nil {
		y.Fatal(err)
	}
	return &server{y, conn, stream}
}

func (s *server) ask(r *reflectionv1.ServerReflectionRequest) *reflectionv1.ServerReflectionResponse {
	s.Helper()
	if err := s.stream.Send(r); err != nil {
		s.Fatal(err)
	}
	answer, err := s.stream.Recv()
	if err != nil {
		s.Fatal(err)
	}
	return answer
}

func (s *server) services() []string {
	var names []string
	list := s.ask(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}})
	for _, service := range list.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	return names
}

// service gets the description of a service with everything that it names.
func (s *server) service(name string) protoreflect.ServiceDescriptor {
	s.Helper()
	answer := s.ask(&reflectionv1.ServerReflectionRequest{
		MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: name},
	})
	set := &descriptorpb.FileDescriptorSet{}
	for _, raw := range answer.GetFileDescriptorResponse().GetFileDescriptorProto() {
		file := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(raw, file); err != nil {
			s.Fatal(err)
		}
		set.File = append(set.File, file)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		s.Fatal(err)
	}
	found, err := files.FindDescriptorByName(protoreflect.FullName(name))
	if err != nil {
		s.Fatal(err)
	}
	d, ok := found.(protoreflect.ServiceDescriptor)
	if !ok {
		s.Fatalf("%s is no service", name)
	}
	return d
}

// reflected reads a release through messages that are made of descriptions.
func (y *yard) reflected(id string) {
	const recorder, approval = "shipwarden.recorder.v1.RecorderService", "shipwarden.approval.v1.ApprovalService"
	if names := y.stranger(y.ApprovalURL).services(); !slices.Contains(names, approval) {
		y.Errorf("the approval service names %v", names)
	}
	s := y.stranger(y.RecorderURL)
	if names := s.services(); !slices.Contains(names, recorder) || !slices.Contains(names, "grpc.health.v1.Health") {
		y.Errorf("the recorder names %v", names)
	}
	method := s.service(recorder).Methods().ByName("GetRelease")
	field := method.Input().Fields().ByName("release")
	if rules := field.Options().(*descriptorpb.FieldOptions).String(); !strings.Contains(rules, "pattern") { //nolint:forcetypeassert // It is that of a field.
		y.Errorf("the rules of %s are not told: %q", field.FullName(), rules)
	}
	request, answer := dynamicpb.NewMessage(method.Input()), dynamicpb.NewMessage(method.Output())
	request.Set(field, protoreflect.ValueOfString(id))
	y.refused(s.conn.Invoke(y.Context(), "/"+recorder+"/GetRelease", request, answer), codes.Unauthenticated, "")
	ctx := metadata.AppendToOutgoingContext(y.Context(), "authorization", "Bearer "+y.token(rig.Auditor))
	if err := s.conn.Invoke(ctx, "/"+recorder+"/GetRelease", request, answer); err != nil {
		y.Fatal(err)
	}
	release := answer.Get(method.Output().Fields().ByName("release")).Message()
	if got := release.Get(release.Descriptor().Fields().ByName("phase")).String(); got != "closed" {
		y.Errorf("the release is in phase %q", got)
	}
}
