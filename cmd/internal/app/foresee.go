package app

import (
	"context"

	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/engine/publish"
)

// Foreseen is what publishing an exception would do on one gateway.
type Foreseen struct {
	Gateway string   `json:"gateway"`
	Unfit   string   `json:"unfit,omitempty"`  // why the gateway cannot carry it
	Limits  []string `json:"limits,omitempty"` // what it cannot lift there
	Plan    []string `json:"plan,omitempty"`   // what would be written, or called
	Problem string   `json:"problem,omitempty"`
}

// Foresee plans a draft on every gateway. Nothing is written.
func (a *App) Foresee(ctx context.Context, d exception.Draft) []Foreseen {
	var all []Foreseen
	draft := publish.Entry{ID: d.Exception.ID, Narrative: d.Exception.Narrative, Change: d.Change, Expires: d.Exception.Expires}
	for _, g := range a.gateways.publishers {
		f := Foreseen{Gateway: g.Name()}
		limits, err := g.Fits(draft)
		if err != nil {
			f.Unfit = err.Error()
			all = append(all, f)
			continue
		}
		f.Limits = limits
		want := []publish.Entry{draft}
		for _, it := range (ledger{a}).Items(g.Name()) {
			if _, err := g.Fits(it.Entry); err == nil && it.InForce {
				want = append(want, it.Entry)
			}
		}
		plan, err := g.Plan(ctx, want)
		if err != nil {
			f.Problem = err.Error()
		}
		f.Plan = plan
		all = append(all, f)
	}
	return all
}

// Lift tells whether an exception published on a gateway can undo a refusal.
type Lift struct {
	Gateway string `json:"gateway"`
	Lifts   bool   `json:"lifts"`
	Because string `json:"because"`
}

// Lifts asks every gateway about a refused message.
func (a *App) Lifts(m mail.Message) []Lift {
	var all []Lift
	for _, g := range a.gateways.publishers {
		ok, because := g.Lifts(&m)
		all = append(all, Lift{g.Name(), ok, because})
	}
	return all
}

// liftLines is Lifts for the screens: a gateway and a sentence about it.
func (a *App) liftLines(m mail.Message) [][2]string {
	var lines [][2]string
	for _, l := range a.Lifts(a.Recall(m)) {
		can := "cannot lift this: "
		if l.Lifts {
			can = "can lift this: "
		}
		lines = append(lines, [2]string{l.Gateway, can + l.Because})
	}
	return lines
}
