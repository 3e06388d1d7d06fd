package engine

import (
	"slices"
	"strings"
)

// ContentRule is what a content_examination policy adds to the common fields.
// Its action is the policy's option: hold, bounce, delete or none.
type ContentRule struct {
	Pattern string // the name of a word list or an expression of the vendor's
	Part    string // of the message: subject, body, ...
}

const contentNone = "none"

// contentExamination is cumulative: every policy that matches acts. A log holds
// neither the message's text nor the vendor's word lists, so where one applies
// the stage is unknown. A permit does not lift it.
func (w *walk) contentExamination(moment Moment) bool {
	partial := w.partial(string(SectionContentExamination))
	t := w.set.tables[SectionContentExamination]
	if t == nil && !partial {
		return false
	}
	if t != nil {
		w.askHeader(t.files)
	}
	acts := map[string][]string{} // action, ids
	w.each(SectionContentExamination, true, true, func(e *entry, _ bool) {
		if p := e.policy; p.Option != contentNone && !slices.Contains(acts[p.Option], p.ID) {
			acts[p.Option] = append(acts[p.Option], p.ID)
		}
	})
	r := result{section: SectionContentExamination}
	if len(acts) == 0 && !partial {
		w.trace.step(w, StageContent, moment, StepPass, r, "")
		return false
	}
	w.unknown(StageContent, SectionContentExamination, moment, r, contentWords(acts))
	return false
}

// contentWords names the policies that could act and whether they contradict
// each other.
func contentWords(acts map[string][]string) string {
	text := "what the message says is in no log"
	if len(acts) < 2 {
		return text
	}
	var each []string
	for action, ids := range acts {
		slices.Sort(ids)
		each = append(each, action+" by "+strings.Join(ids, ", "))
	}
	slices.Sort(each)
	return text + "; the policies contradict each other: " + strings.Join(each, "; ")
}
