package engine

import (
	"bytes"
	"encoding/json"
	"time"

	"mailwhy/engine/mail"
)

// Trace is the answer to "why": every stage a message went through, the
// verdict, whether the log agrees, and what would change it. Its JSON form is
// what `why --json` prints.
type Trace struct {
	Message       string    `json:"message,omitempty"` // id; "" for a message made up on the command line
	PolicyVersion string    `json:"policy_version"`
	AsOf          time.Time `json:"as_of"`
	Steps         []Step    `json:"steps"`
	Verdict       Verdict   `json:"verdict"`
	VerdictNow    *Verdict  `json:"verdict_now,omitempty"` // set when as_of is not now
	Between       []string  `json:"between,omitempty"`     // what changed between as_of and now and matters here, a sentence each
	Agreement     Agreement `json:"agreement"`
	Remedies      []Remedy  `json:"remedies"`

	PolicySet Completeness `json:"policy_set"`
}

// MarshalJSON writes AsOf in UTC with milliseconds, always three digits, as the
// times of messages are.
func (t Trace) MarshalJSON() ([]byte, error) {
	type plain Trace
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(struct {
		Message       string `json:"message,omitempty"`
		PolicyVersion string `json:"policy_version"`
		AsOf          string `json:"as_of"`
		plain
	}{t.Message, t.PolicyVersion, mail.Stamp(t.AsOf), plain(t)})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Completeness says how much of the gateway's policies the set knows and how
// old that is.
type Completeness struct {
	Partial []string  `json:"partial"`        // sections known in part only, sorted
	AsOf    time.Time `json:"as_of,omitzero"` // when they were read from the gateway; zero = not said
	Age     string    `json:"age,omitempty"`  // from then until now, as "6h0m0s"; "" = not said
}

// Stage names one contest or check, in the order of Stages.
type Stage string

// The stages, in order.
const (
	StageConnection        Stage = "connection"
	StageAntiSpoofing      Stage = "anti_spoofing"
	StageBlockedSenders    Stage = "blocked_senders"
	StageManagedSenders    Stage = "managed_senders"
	StagePermittedSenders  Stage = "permitted_senders"
	StageRecipient         Stage = "recipient"
	StageReputation        Stage = "reputation"
	StageGreylisting       Stage = "greylisting"
	StageDNSAuthentication Stage = "dns_authentication"
	StageVirus             Stage = "virus"
	StageSpam              Stage = "spam"
	StageContent           Stage = "content"
	StageImpersonation     Stage = "impersonation"
	StageAttachment        Stage = "attachment"
	StageDelivery          Stage = "delivery"
)

// Moment is when in the SMTP dialogue or after it a stage decides.
type Moment string

// The moments, in order.
const (
	MomentConnect  Moment = "connect"
	MomentRcpt     Moment = "rcpt"
	MomentData     Moment = "data"
	MomentProcess  Moment = "process"
	MomentDelivery Moment = "delivery"
)

// StepOutcome is what one stage did with the message.
type StepOutcome string

// The step outcomes.
const (
	StepPass    StepOutcome = "pass"
	StepStop    StepOutcome = "stop"
	StepSkip    StepOutcome = "skip"
	StepUnknown StepOutcome = "unknown"
)

// Step is one stage at one moment.
type Step struct {
	Stage       Stage        `json:"stage"`
	Moment      Moment       `json:"moment"`
	Outcome     StepOutcome  `json:"outcome"`
	Policies    []Considered `json:"policies"`
	NotMatching int          `json:"not_matching"` // policies neither listed nor near a match
	Winner      *string      `json:"winner"`       // id of the policy that won the contest, nil when none
	Because     string       `json:"because,omitempty"`
}

// Considered is one policy in a step: whether it matched and why.
type Considered struct {
	ID          string `json:"id"`
	Description string `json:"description,omitempty"`
	Origin      string `json:"origin,omitempty"` // path:line, "default", or "exception N"
	Option      string `json:"option,omitempty"`
	Matched     *bool  `json:"matched"` // nil = unknown
	Because     string `json:"because"`
	Rank        Rank   `json:"rank"`
}

// Rank is [override, from, to, from exact, to exact, has source IPs]; the
// greatest wins a contest.
type Rank [6]int

// Certainty is how sure a verdict is.
type Certainty string

// The certainties. Certain: every completion of the missing facts gives the
// same outcome, stage and policy. Likely: not so, but the plain completion
// (header from = envelope from, client in no listed range) gives this verdict.
// Undetermined: neither, or nothing to complete from.
const (
	Certain      Certainty = "certain"
	Likely       Certainty = "likely"
	Undetermined Certainty = "undetermined"
)

// Verdict is what the policies decide.
type Verdict struct {
	Outcome          *mail.Outcome `json:"outcome"` // nil when undetermined
	Stage            Stage         `json:"stage,omitempty"`
	Moment           Moment        `json:"moment,omitempty"`
	Policy           string        `json:"policy,omitempty"`
	Certainty        Certainty     `json:"certainty"`
	Missing          []string      `json:"missing"` // facts, by their JSON names, and sections known in part
	Ambiguous        bool          `json:"ambiguous"`
	Tied             []string      `json:"tied"`               // ids, sorted; not to be changed
	DependsOnCompare bool          `json:"depends_on_compare"` // comparing the sides in the other order would change the outcome
	Assumes          []string      `json:"assumes,omitempty"`  // inferred rows whose turning over would change this verdict
}

// MarshalJSON writes empty lists as [], so that every verdict has the same keys
// but for stage, moment and policy, which an accepted one lacks.
func (v Verdict) MarshalJSON() ([]byte, error) {
	type plain Verdict
	if v.Missing == nil {
		v.Missing = []string{}
	}
	if v.Tied == nil {
		v.Tied = []string{}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // as the messages beside it
	err := encoder.Encode(plain(v))
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// AgreementResult compares the replay with what the log reports.
type AgreementResult string

// The agreement results.
const (
	Agrees        AgreementResult = "agrees"
	PolicyChanged AgreementResult = "policy_changed"
	NotPolicy     AgreementResult = "not_policy"
	Unexplained   AgreementResult = "unexplained"
	NotLogged     AgreementResult = "not_logged"
)

// Agreement says whether the log tells the same story.
type Agreement struct {
	Result AgreementResult `json:"result"`
	Logged string          `json:"logged,omitempty"` // the log's words
	Detail string          `json:"detail,omitempty"` // one sentence
}

// Kind is what a change or an exception does.
type Kind string

// The kinds. A bypass is a Blocked Senders policy with Take No Action.
const (
	KindBypass        Kind = "bypass"
	KindPermit        Kind = "permit"
	KindRelay         Kind = "relay"
	KindManagedPermit Kind = "managed_permit"
	KindManagedDelete Kind = "managed_delete"
	KindManagedBlock  Kind = "managed_block"
	KindGroupRemove   Kind = "group_remove"
)

// Remedy is one candidate change and what replaying with it gives.
type Remedy struct {
	Kind         Kind          `json:"kind"`
	Scope        string        `json:"scope"` // the grammar of --scope, or the entry removed
	Works        *bool         `json:"works"` // nil = not known
	VerdictAfter *Verdict      `json:"verdict_after,omitempty"`
	Because      string        `json:"because,omitempty"`
	Impact       *ImpactReport `json:"impact,omitempty"`
	Others       *Others       `json:"others,omitempty"` // nil = no other message of the sender is known
	Risks        []string      `json:"risks,omitempty"`  // a sentence each, the gravest first

	Change Change `json:"-"` // what Works was replayed with
}
