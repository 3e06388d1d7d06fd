package main

import (
	"slices"

	"encoding/json"
	"fmt"
	"io"
	"mailwhy/cmd/internal/app"
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
	Gateways     []app.Foreseen   `json:"gateways,omitempty"` // what publishing it would do
}

func (s *session) printDraft(d exception.Draft, gateways []app.Foreseen, r engine.Remedy) error {
	calls := engine.APICalls(d.Change)
	if s.json {
		return s.printJSON(s.stdout, draftAnswer{Draft: d, Works: r.Works, Because: r.Because, VerdictAfter: r.VerdictAfter, Others: r.Others, Risks: r.Risks, API: calls, Gateways: gateways})
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
	for _, g := range gateways {
		for _, line := range foreseenText(g) {
			fmt.Fprintf(&b, "gateway %s: %s\n", g.Gateway, line)
		}
	}
	_, err := io.WriteString(s.stdout, plain(b.String()))
	return err
}

// foreseenText is what publishing a draft on one gateway would do, a line each.
func foreseenText(g app.Foreseen) []string {
	if g.Unfit != "" {
		return []string{"cannot carry it: " + g.Unfit}
	}
	lines := slices.Clone(g.Plan)
	for _, limit := range g.Limits {
		lines = append(lines, "limit: "+limit)
	}
	if g.Problem != "" {
		lines = append(lines, "cannot be asked: "+g.Problem)
	}
	return lines
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
