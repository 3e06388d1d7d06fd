// Package reply knows what SMTP replies and non-delivery texts mean.
package reply

// Explanation is what a reply or a pasted bounce means.
type Explanation struct {
	Code     int      `json:"code,omitempty"`
	Enhanced string   `json:"enhanced,omitempty"`
	Text     string   `json:"text,omitempty"` // the innermost reply
	Known    bool     `json:"known"`          // a row of the knowledge base matched
	Meaning  string   `json:"meaning"`        // one sentence
	Cause    string   `json:"cause,omitempty"`
	Side     string   `json:"side"`            // us, them, next_hop, dns, unknown
	Layer    string   `json:"layer,omitempty"` // the policy layer, "blocked_senders", "managed_senders", ...
	Steps    []string `json:"steps,omitempty"` // what to do
	Token    string   `json:"token,omitempty"` // the bracketed id at the end of an NDR
	Source   string   `json:"source,omitempty"`
}

// Explain decodes one SMTP reply, log line or whole bounce. Never fails: what
// it does not know it says so.
func Explain(text string) Explanation { return Explanation{} }
