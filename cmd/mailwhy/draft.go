package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"mailwhy/engine"
	"mailwhy/engine/exception"
)

// draftAnswer is `--dry-run --json`: the exception as it would be journalled,
// its guards' answers, what a replay with it gives, and the requests that make
// it by the vendor's API.
type draftAnswer struct {
	exception.Draft
	Works        *bool            `json:"works"` // nil = not known
	Because      string           `json:"because,omitempty"`
	VerdictAfter *engine.Verdict  `json:"verdict_after,omitempty"`
	Others       *engine.Others   `json:"others,omitempty"`
	Risks        []string         `json:"risks,omitempty"`
	API          []engine.APICall `json:"api,omitempty"`
}

func (s *session) printDraft(d exception.Draft, r engine.Remedy) error {
	calls := engine.APICalls(d.Change)
	if s.json {
		return s.printJSON(s.stdout, draftAnswer{Draft: d, Works: r.Works, Because: r.Because, VerdictAfter: r.VerdictAfter, Others: r.Others, Risks: r.Risks, API: calls})
	}
	var b strings.Builder
	b.WriteString(exceptionText(d.Exception, d.Exception.Created))
	fmt.Fprintf(&b, "%s: %s\n", worksWord(r.Works), r.Because)
	if r.VerdictAfter != nil {
		fmt.Fprintf(&b, "after   %s\n", verdictText(*r.VerdictAfter))
	}
	for _, risk := range r.Risks {
		fmt.Fprintf(&b, "risk    %s\n", risk)
	}
	for _, g := range d.Guards {
		fmt.Fprintf(&b, "%-14s %s %s\n", g.Answer, g.Name, g.Sentence)
	}
	for _, call := range calls {
		body, err := json.Marshal(call.Body)
		if err != nil {
			return fmt.Errorf("write request %s: %w", call.Path, err)
		}
		fmt.Fprintf(&b, "API %s  %s %s\n  %s\n", call.Version, call.Method, call.Path, body)
	}
	_, err := io.WriteString(s.stdout, plain(b.String()))
	return err
}

// worksWord says in one word what a replay says of a change.
func worksWord(works *bool) string {
	switch {
	case works == nil:
		return "perhaps"
	case *works:
		return "works"
	}
	return "useless"
}
