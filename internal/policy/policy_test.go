package policy_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

const exampleFile = "../../examples/starter.yaml"

func readExample(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func example(t *testing.T) *policyv1.Procedure {
	t.Helper()
	document, err := policy.Parse(readExample(t), exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func TestExampleIsAccepted(t *testing.T) {
	document := example(t)
	if document.GetId() != "PROC-DEPLOY-001" || len(document.GetTargets()) != 2 || len(document.GetGates()) != 3 {
		t.Errorf("read %s with %d targets and %d gates", document.GetId(), len(document.GetTargets()), len(document.GetGates()))
	}
}

func TestDigestIsThatOfTheBytes(t *testing.T) {
	want := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("id: X\n")))
	if got := policy.Digest([]byte("id: X\n")); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// Each case changes the example in one place; want is what the error must hold.
func TestWhatLeadsNowhereIsRefused(t *testing.T) {
	for _, test := range []struct {
		name, old, new string
		want           []string
	}{
		{"unknown field", "operators_group: sre", "operators_group: sre\noperator_group: sre", []string{`unknown field "operator_group"`}},
		{"member who is nobody", "members: [alice, bob]", "members: [alice, zoe]", []string{"groups[0].members[1]: there is no person \"zoe\" (person.unknown)"}},
		{"member by an alias", "members: [alice, bob]", "members: [alice, bbrandt]", []string{"groups[0].members[1]", "another name of bob"}},
		{"member who has left", "name: Bob Brandt", "name: Bob Brandt\n    inactive: true", []string{"groups[0].members[1]: bob is inactive"}},
		{"member given twice", "members: [alice, bob]", "members: [alice, bob, alice]", []string{"groups[0].members[2]", "duplicate"}},
		{"a change record's pattern", "channels:\n", records("id_pattern: '['") + "channels:\n", []string{"change_records[0].id_pattern"}},
		{"a change record's pattern of a million letters", "channels:\n", records("id_pattern: '((a{100}){100}){100}'") + "channels:\n", []string{"change_records[0].id_pattern"}},
		{"a change record's pattern that is larger than it looks", "channels:\n", records("id_pattern: '([a-z][0-9]){1000}([a-z][0-9]){1000}([a-z][0-9]){1000}'") + "channels:\n", []string{"change_records[0].id_pattern", "too large"}},
		{"a change record's pattern of nothing", "channels:\n", records("id_pattern: '.*'") + "channels:\n", []string{"change_records[0].id_pattern", "matches nothing at all"}},
		{"a change record's name", "channels:\n", strings.Replace(records("id_pattern: CHG"), "name: cr", "name: tests", 1) + "channels:\n", []string{`change_records[0].name: "tests" is the name of a gate`}},
		{"a change record's place", "channels:\n", records("id_pattern: CHG, environments: [moon], service_names: {rocket: r}") + "channels:\n", []string{"change_records[0].environments[0]", "change_records[0].service_names"}},
		{"a change record without states", "channels:\n", strings.Replace(records("id_pattern: CHG"), "[x]", "[]", 1) + "channels:\n", []string{"change_records[0].states"}},
		{"a board that is too small", "group: release-managers\n    count: 1\n  approval_valid", "group: release-managers\n    count: 3\n  approval_valid", []string{"change_control.approvals.group: 3 of the group release-managers are needed, and 2 can"}},
		{"a board of nobody", "group: release-managers\n    count: 1\n  approval_valid", "group: nobody\n    count: 1\n  approval_valid", []string{"change_control.approvals.group: there is no group"}},
		{"proposers of nobody", "proposer_groups: [developers", "proposer_groups: [nobody", []string{"change_control.proposer_groups[0]"}},
		{"proposers who all approve", "proposer_groups: [developers, release-managers, sre, security]\n  # Distinct people, none of whom proposed it.\n  approvals:\n    group: release-managers\n    count: 1", "proposer_groups: [release-managers]\n  approvals:\n    group: release-managers\n    count: 2", []string{"change_control.approvals.count", "besides the proposer"}},
		{"service that passes for a person", "aliases: [carol@shop.example]", "aliases: [Executor]", []string{`people[2].aliases[0]: "Executor" is the name of a service of shipwarden, and no person (person.service)`}},
		{"alias of two people", "aliases: [carol@shop.example]", "aliases: [BOB@shop.example]", []string{`people[2].aliases[0]: "BOB@shop.example" names bob already, in people[1].aliases[0] (person.ambiguous)`}},
		{"alias that is another's id", "aliases: [carol@shop.example]", "aliases: [Alice]", []string{"people[2].aliases[0]", "person.ambiguous"}},
		{"alias with a look-alike letter", "aliases: [carol@shop.example]", "aliases: [\"bo\u212a@x\", \"bok@x\"]", []string{"people[2].aliases[1]", "duplicate"}},
		{"two people with one id", "  - id: bob\n", "  - id: alice\n", []string{"people[1].id", "person.ambiguous"}},
		{"machine that approves", "members: [carol, dave]", "members: [carol, dave, ci-bot]", []string{"environments[0].approvals[0].group: the group release-managers decides, and its member ci-bot is a machine (group.machine)"}},
		{"machine that authorizes emergencies", "members: [carol, erin]", "members: [carol, erin, ci-bot]", []string{"emergency.group", "group.machine"}},
		{"group too small for its quorum", "      - group: sre\n        count: 1", "      - group: sre\n        count: 3", []string{"environments[0].approvals[1].group: 3 of the group sre are needed, and 2 can (group.small)"}},
		{"unknown approving group", "      - group: sre\n", "      - group: sres\n", []string{"environments[0].approvals[1].group: there is no group \"sres\""}},
		{"group asked twice", "      - group: sre\n", "      - group: release-managers\n", []string{"environments[0].approvals[1].group", "duplicate"}},
		{"unknown no-rollback group", "  - group: release-managers\n    count: 2", "  - group: nobody\n    count: 2", []string{"no_rollback_approvals[0].group"}},
		{"high-risk group too small", "  - group: security\n    count: 1", "  - group: security\n    count: 3", []string{"high_risk_approvals[0].group", "group.small"}},
		{"unknown group of the quarantine", "  group: release-managers\n  # Whether", "  group: nobody\n  # Whether", []string{"quarantine.group: there is no group"}},
		{"unknown operators", "operators_group: sre", "operators_group: ops", []string{"operators_group: there is no group"}},
		{"unknown owners", "owner_groups: [developers]", "owner_groups: [developer]", []string{"services[0].owner_groups[0]", "services[0].owner_groups: nobody can own"}},
		{"service that depends on itself", "owner_groups: [developers]", "owner_groups: [developers]\n    dependencies: [shop]", []string{"services[0].dependencies[0]: shop depends on itself (service.self)"}},
		{"owner who is a machine", "owner_groups: [developers]", "owner_groups: [developers]\n    owners: [ci-bot]", []string{"services[0].owners[0]: ci-bot is a machine"}},
		{"owner nobody knows", "owner_groups: [developers]", "owners: [zoe]", []string{"services[0].owners[0]: there is no person", "nobody can own"}},
		{"owned by nobody", "    owner_groups: [developers]\n", "", []string{"services[0]: owner_groups or owners: somebody has to own it"}},
		{"important, and nobody to be reached", "owner_groups: [developers]", "owner_groups: [developers]\n    tier: 1", []string{"services[0].tier", "neither its groups nor its owners have a contact"}},
		{"tier that is none", "owner_groups: [developers]", "owner_groups: [developers]\n    tier: 5", []string{"services[0].tier"}},
		{"requirement of what it does not depend on", "owner_groups: [developers]", "owner_groups: [developers]\n    requirements: [{service: billing, versions: '>=1'}]", []string{"services[0].requirements[0].service: shop does not depend on"}},
		{"requirement that is no range", "owner_groups: [developers]", "owner_groups: [developers]\n    requirements: [{service: billing, versions: newest}]", []string{"services[0].requirements[0].versions", "is no range of versions"}},
		{"contact with a line in it", "    members: [alice, bob]", "    members: [alice, bob]\n    contacts: [{kind: KIND_MAIL, address: \"a\\nb\"}]", []string{"groups[0].contacts[0].address"}},
		{"dependency on nothing", "owner_groups: [developers]", "owner_groups: [developers]\n    dependencies: [billing]", []string{"services[0].dependencies[0]", "service.unknown"}},
		{"target in no environment", "  - id: shop-eu2\n    environment: production", "  - id: shop-eu2\n    environment: prod", []string{"targets[1].environment: there is no environment \"prod\""}},
		{"target of no service", "    services: [shop]\n    driver: host\n    kinds: [ARTIFACT_KIND_FILE]\n    customers", "    services: [shops]\n    driver: host\n    kinds: [ARTIFACT_KIND_FILE]\n    customers", []string{"targets[0].services[0]"}},
		{"target given twice", "- id: shop-eu2", "- id: shop-eu1", []string{`targets[1].id: "shop-eu1" is there already, as targets[0]`}},
		{"target of no kind", "kinds: [ARTIFACT_KIND_FILE]\n    customers", "kinds: [0]\n    customers", []string{"targets[0].kinds[0]", "value.undefined"}},
		{"key for no gate", "gates: [tests]", "gates: [test]", []string{"keys[1].gates[0]: there is no gate \"test\"", "gates[1].name: no key and no identity is trusted for the gate tests"}},
		{"rule that is none", "    field: runDetails.builder.id", "    rules: [{name: fresh, expression: \"now - attestation.made < duration('1h')\", message: old}]\n    field: runDetails.builder.id", []string{"gates[2].rules[0].expression", "1:18: undefined field 'made'"}},
		{"rule given twice", "    field: runDetails.builder.id", "    rules: [{name: a, expression: \"true\", message: x}, {name: a, expression: \"true\", message: y}]\n    field: runDetails.builder.id", []string{"gates[2].rules[1].name"}},
		{"key for no service", "    services: [shop]\n  # It", "    services: [web]\n  # It", []string{"keys[2].services[0]"}},
		{"key given twice", "- id: ci-tests", "- id: review-system", []string{"keys[1].id"}},
		{"key that is none", "ed25519: ", "ed25519: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= #", []string{"keys[0].ed25519: this is no public key"}},
		{"key that ends before it begins", "gates: [tests]", "gates: [tests]\n    not_before: 2026-01-02T00:00:00Z\n    not_after: 2026-01-01T00:00:00Z", []string{"keys[1].not_after"}},
		{"values without a field", "    field: result\n    values: [approved]", "    values: [approved]", []string{"gates[0].field"}},
		{"field without values", "    field: result\n    values: [approved]", "    field: result", []string{"gates[0].values"}},
		{"reviewers of no group", "min_reviewers: 1", "min_reviewers: 1\n    reviewer_group: reviewers", []string{"gates[0].reviewer_group"}},
		{"more reviewers than the group has", "min_reviewers: 1", "min_reviewers: 3\n    reviewer_group: security", []string{"gates[0].reviewer_group", "group.small"}},
		{"no age at all", "max_age: 168h", "max_age: 0s", []string{"gates[1].max_age"}},
		{"gate nowhere", "max_age: 168h", "environments: [prod]", []string{"gates[1].environments[0]"}},
		{"waivers of a gate that has none", "waives: [tests]", "waives: [tests, provenance]", []string{"keys[3].waives[1]: the gate provenance has no waivable", "gate.waivable"}},
		{"waivers of no gate", "waives: [tests]", "waives: [test]", []string{`keys[3].waives[0]: there is no gate "test"`, "gates[1].waivable: no key and no identity waives the gate tests"}},
		{"gate that nobody may waive", "waives: [tests]", "gates: [tests]", []string{"gates[1].waivable: no key and no identity waives the gate tests: nobody could ever (gate.waives)"}},
		{"waivers without a bound", "waivable:\n      max: 72h", "waivable: {}", []string{"gates[1].waivable.max"}},
		{"waivers of no length", "max: 72h", "max: 0s", []string{"gates[1].waivable.max"}},
		{"gate that demands a waiver", "https://slsa.dev/provenance/v1", "https://github.com/blackdice/shipwarden/predicate/waiver/v1", []string{"gates[2].predicate_type: a waiver stands in"}},
		{"gate given twice", "- name: tests", "- name: provenance", []string{"gates[2].name", "duplicate"}},
		{"zone that is none", "time_zone: Europe/Berlin", "time_zone: Europe/Brelin", []string{"freezes[0].weekly.time_zone: \"Europe/Brelin\" is no time zone"}},
		{"zone of this machine", "time_zone: Europe/Berlin", "time_zone: Local", []string{"freezes[0].weekly.time_zone"}},
		{"freeze that ends before it begins", "recurring:\n      start: 2026-01-31T18:00 # by the clock; it must be the first time of the rule\n      length: 43200s\n      rule: FREQ=MONTHLY;BYMONTHDAY=-1\n", "once:\n      start: 2027-02-08T00:00:00Z\n      end: 2027-02-01T00:00:00Z\n", []string{"freezes[1].once"}},
		{"freeze without length", "to_day: DAY_MONDAY\n      to_time: \"07:00\"", "to_day: DAY_FRIDAY\n      to_time: \"18:00\"", []string{"freezes[0].weekly: begins and ends at the same time"}},
		{"freeze by a rule that never comes to pass", "rule: FREQ=MONTHLY;BYMONTHDAY=-1", "rule: FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", []string{`freezes[1].recurring: rule "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30": the start`}},
		{"freeze by a rule that begins on another day", "start: 2026-01-31T18:00", "start: 2026-01-30T18:00", []string{"freezes[1].recurring", "is not its first occurrence"}},
		{"freeze of a calendar of nothing", "recurring:\n      start: 2026-01-31T18:00 # by the clock; it must be the first time of the rule\n      length: 43200s\n      rule: FREQ=MONTHLY;BYMONTHDAY=-1\n", "calendar:\n      icalendar: nothing\n", []string{"freezes[1].calendar.icalendar: calendar: ical"}},
		{"exception by nobody", "override_groups: [incident-commanders]", "override_groups: [commanders]", []string{`freezes[0].override_groups[0]: there is no group "commanders"`}},
		{"exception by a machine", "override_groups: [incident-commanders]", "override_people: [ci-bot]", []string{"freezes[0].override_people[0]: ci-bot is a machine"}},
		{"freeze set by nobody", "set_by: carol", "set_by: zoe", []string{"freezes[0].set_by"}},
		{"freeze for nobody", "reason: Nobody", "customers: [globex]\n    reason: Nobody", []string{"freezes[0].customers[0]: there is no customer \"globex\""}},
		{"freeze on no target", "reason: Nobody", "targets: [shop-us]\n    reason: Nobody", []string{"freezes[0].targets[0]"}},
		{"area given twice", "cryptography, secrets]", "cryptography, secrets, secrets]", []string{"high_risk_areas[4]"}},
		{"notice that nobody must hear", "    required: true", "    required: false", []string{"environments[0].require_notice: no channel"}},
		{"channel for nothing", "- OCCASION_END", "- OCCASION_UNSPECIFIED", []string{"channels[0].occasions[1]", "value.undefined"}},
		{"rung that no channel serves", "    occasions: [OCCASION_ESCALATION]\n    groups: [incident-commanders]", "    occasions: [OCCASION_ESCALATION]\n    groups: [sre]", []string{`escalation.rungs[1].group: no channel tells the group incident-commanders of OCCASION_ESCALATION for the service shop in production (channel.missing)`}},
		{"escalations that nobody hears of", "OCCASION_ESCALATION\n", "OCCASION_END\n", []string{"escalation.rungs[0].group: no channel tells the group sre"}},
		{"emergencies that nobody hears of", "      - OCCASION_EMERGENCY\n", "", []string{"emergency.group: no channel tells anybody of OCCASION_EMERGENCY for the service shop in production (channel.missing)"}},
		{"channel for a group that is no rung's", "    groups: [incident-commanders]", "    groups: [incident-commanders, developers]", []string{`channels[1].groups[1]: there is no rung "developers"`}},
		{"channel for groups that never call", "    occasions: [OCCASION_ESCALATION]\n", "    occasions: [OCCASION_END]\n", []string{"channels[1].groups: it serves groups that are called"}},
		{"fallback that is none", "    groups: [incident-commanders]\n", "    groups: [incident-commanders]\n    fallback: mail\n", []string{`channels[1].fallback: there is no channel "mail"`}},
		{"fallback of its own", "    groups: [incident-commanders]\n", "    groups: [incident-commanders]\n    fallback: duty-phone\n", []string{"channels[1].fallback: the channel duty-phone has to be another one"}},
		{"quiet hours in no zone", "    groups: [incident-commanders]\n", "    groups: [incident-commanders]\n    quiet_hours: [{from: '22:00', to: '07:00', time_zone: Mars/Base}]\n", []string{"channels[1].quiet_hours[0]: unknown time zone"}},
		{"quiet hours without an end", "    groups: [incident-commanders]\n", "    groups: [incident-commanders]\n    quiet_hours: [{from: '07:00', to: '19:00', time_zone: UTC}, {from: '19:00', to: '07:00', time_zone: UTC}]\n", []string{"channels[1].quiet_hours: nobody could ever be told by the channel duty-phone"}},
		{"quiet hours at no time", "    groups: [incident-commanders]\n", "    groups: [incident-commanders]\n    quiet_hours: [{from: '25:00', to: '07:00', time_zone: UTC}]\n", []string{"channels[1].quiet_hours[0].from"}},
		{"digest of a moment", "    groups: [incident-commanders]\n", "    groups: [incident-commanders]\n    digest: {every: 1s}\n", []string{"channels[1].digest.every"}},
		{"reminder that nobody hears", "  approve_within: 72h", "  remind_before: 12h\n  approve_within: 72h", []string{"deadlines.remind_before: no channel tells anybody of OCCASION_REMINDER"}},
		{"reminder before there is anything to do", "  approve_within: 72h", "  remind_before: 72h\n  approve_within: 72h", []string{"deadlines.remind_before: approvals are given within 72h0m0s"}},
		{"audience of nobody", "    owners: true # of the service, and the owner of the release\n    dependents: true", "    # dependents: true", []string{"audiences[0].groups: it names neither"}},
		{"audience of another group", "    customers: true #", "    groups: [support] #", []string{`audiences[1].groups[0]: there is no group "support"`}},
		{"audience by no channel", "channels: [operations]", "channels: [operation]", []string{`audiences[1].channels[0]: there is no channel "operation"`}},
		{"audience that no channel tells", "occasions: [OCCASION_START, OCCASION_END, OCCASION_ROLLBACK]", "occasions: [OCCASION_UNSPECIFIED]", []string{"audiences[0].occasions[0]", "audiences[0].channels: no channel tells of OCCASION_UNSPECIFIED"}},
		{"audience given twice", "- name: customers\n", "- name: responsible\n", []string{"audiences[1].name", "duplicate"}},
		{"audience of a tier that nothing is of", "    customers: true #", "    tiers: [4]\n    customers: true #", []string{"audiences[1].tiers[0]: no service is of tier 4 (tier.unknown)"}},
		{"audience of no tier", "    customers: true #", "    tiers: [5]\n    customers: true #", []string{"audiences[1].tiers[0]"}},
		{"audience of a target that is none", "    customers: true #", "    targets: [moon1]\n    customers: true #", []string{`audiences[1].targets[0]: there is no target "moon1"`}},
		{"audience by a risk that nobody weighs", "    customers: true #", "    risk_from: 5\n    customers: true #", []string{"audiences[1].risk_from: nothing is weighed"}},
		{"customer without a contact", "  - customer: acme\n", "  - customer: globex\n", []string{"audiences[1]: it finds nobody for the service shop in production: customer acme (audience.nobody)", `customer_contacts[0].customer: no target serves the customer "globex"`}},
		{"contact that is nobody", "  - customer: acme\n    group: release-managers", "  - customer: acme\n    group: support", []string{"customer_contacts[0].group"}},
		{"end that waits for people", "occasions: [OCCASION_START, OCCASION_ROLLBACK]", "occasions: [OCCASION_ROLLBACK]\n    acknowledge: {within: 1h}", []string{"audiences[1].acknowledge: only a start waits"}},
		{"no time to acknowledge", "channels: [operations]", "channels: [operations]\n    acknowledge: {within: 0s}", []string{"audiences[1].acknowledge.within"}},
		{"emergency by nobody", "group: incident-commanders\n  review", "group: commanders\n  review", []string{"emergency.group"}},
		{"reviewer of oneself", "members: [erin, frank]", "members: [erin]", []string{"emergency.review_group: erin may authorize"}},
		{"negative grace", "grace: 24h", "grace: -1h", []string{"emergency.grace"}},
		{"rung that calls nobody", "    - group: sre\n      acknowledge", "    - group: sres\n      acknowledge", []string{"escalation.rungs[0].group"}},
		{"missing deadlines", "  step: 10m", "  # step: 10m", []string{"deadlines.step"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := string(readExample(t))
			if !strings.Contains(text, test.old) {
				t.Fatalf("the example lacks %q", test.old)
			}
			_, err := policy.Parse([]byte(strings.Replace(text, test.old, test.new, 1)), "procedure.yaml")
			if !errors.Is(err, policy.ErrInvalid) {
				t.Fatalf("error %v, want ErrInvalid", err)
			}
			for _, want := range append(test.want, "procedure.yaml:") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestEverythingWrongIsToldAtOnceWithItsLine(t *testing.T) {
	text := strings.NewReplacer(
		"set_by: carol", "set_by: zoe",
		"grace: 24h", "grace: -1h",
		"driver: host", "driver: hots",
		"operators_group: sre", "operators_group: ops",
	).Replace(string(readExample(t)))
	_, err := policy.Parse([]byte(text), "p.yaml")
	if err == nil {
		t.Fatal("accepted")
	}
	for _, word := range []string{"set_by: zoe", "grace: -1h", "driver: hots", "operators_group: ops"} {
		line := 1 + strings.Count(text[:strings.Index(text, word)], "\n")
		if !strings.Contains(err.Error(), fmt.Sprintf("p.yaml:%d:", line)) {
			t.Errorf("error lacks line %d (%s):\n%v", line, word, err)
		}
	}
}

func TestCycleOfDependenciesIsAllowed(t *testing.T) {
	text := strings.Replace(string(readExample(t)), "owner_groups: [developers]",
		"owner_groups: [developers]\n    dependencies: [billing]\n  - name: billing\n    owner_groups: [developers]\n    dependencies: [shop]", 1)
	if _, err := policy.Parse([]byte(text), "p.yaml"); err != nil {
		t.Error(err)
	}
}

func TestEmptyDocumentIsRefused(t *testing.T) {
	for _, text := range []string{"", "# later\n", "{}\n", "~\n"} {
		if _, err := policy.Parse([]byte(text), "p.yaml"); !errors.Is(err, policy.ErrInvalid) {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

// records is a rule about change records in the form of the example.
func records(rest string) string {
	return "change_records:\n  - {name: cr, connector: jira, system: jira, states: [x], " + rest + "}\n\n"
}
