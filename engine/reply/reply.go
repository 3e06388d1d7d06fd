package reply

import "strings"

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

// The sides, seen from the server that answered: Us is that server and its
// policies, Them whoever sends, NextHop a server further on, DNS what somebody
// publishes.
const (
	Us      = "us"
	Them    = "them"
	NextHop = "next_hop"
	DNS     = "dns"
	Unknown = "unknown"
)

// longestInput is how much of a text is read, in bytes: a bounce says what it
// has to say before the message it returns.
const longestInput = 256 << 10

// Explain decodes one SMTP reply, log line or whole bounce with the knowledge
// that comes with the program. Never fails: what it does not know it says so.
func Explain(text string) Explanation { return shipped().Explain(text) }

// Explain decodes one SMTP reply, log line or whole bounce.
func (b *Base) Explain(text string) Explanation {
	if len(text) > longestInput {
		text = text[:longestInput]
	}
	text = plain(text)
	r := innermost(text)
	e := Explanation{Code: r.code, Enhanced: r.enhanced, Text: r.text, Token: token(r.text)}
	if e.Token == "" {
		e.Token = token(text)
	}
	row, known := b.find(r)
	if !known && r.kind != "" {
		row, known = b.find(found{code: r.code, enhanced: r.enhanced, text: r.kind})
	}
	if !known {
		row, known = b.fallback(r)
	}
	e.Known = known
	e.Meaning, e.Cause, e.Side, e.Layer, e.Steps, e.Source = row.Meaning, row.Cause, row.Side, row.Layer, row.Steps, row.Source
	if r.remote && e.Side == Us {
		e.Side = NextHop
	}
	return e
}

// fallback explains a reply no row speaks of by its codes alone. It counts as
// known when the enhanced status code names a reason, or the code came alone.
func (b *Base) fallback(r found) (row Row, known bool) {
	if subject, ok := cutClass(r.enhanced); ok {
		if row, ok := b.status[subject]; ok {
			row.Steps = b.generic(r)
			return row, subject != "0.0"
		}
	}
	if row, ok := b.codes[r.code]; ok {
		if row.Side == "" {
			row.Side = Unknown
		}
		if len(row.Steps) == 0 {
			row.Steps = b.generic(r)
		}
		return row, r.text == "" && row.Side != Unknown
	}
	switch {
	case r.code >= 500 || strings.HasPrefix(r.enhanced, "5."):
		return Row{Meaning: "refused for good, for a reason that is not known here", Side: Unknown, Steps: b.generic(r)}, false
	case r.code >= 400 || strings.HasPrefix(r.enhanced, "4."):
		return Row{Meaning: "refused for now, for a reason that is not known here", Side: Unknown, Steps: b.generic(r)}, false
	}
	return Row{Meaning: "this text holds no reply that is known here", Side: Unknown}, false
}

// generic is what one can do about any refusal of this class.
func (b *Base) generic(r found) []string {
	switch {
	case r.code >= 500 || r.code == 0 && strings.HasPrefix(r.enhanced, "5."):
		return []string{"the sender's server gives up: correct the cause, then send again", "the log of the server that answered says more"}
	case r.code >= 400 || r.code == 0 && strings.HasPrefix(r.enhanced, "4."):
		return []string{"wait: the sender's server tries again by itself", "the log of the server that answered says more"}
	}
	return nil
}
