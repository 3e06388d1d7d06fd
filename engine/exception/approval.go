package exception

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// ProposalLife is how long a proposal waits for an approver.
const ProposalLife = 7 * 24 * time.Hour

// Rules are what the configuration says about changes now. The zero value is a
// place without approvers, open to changes.
type Rules struct {
	Approvers bool   // somebody can approve: what needs an approver becomes a proposal
	Hourly    int    // exceptions of one operator within an hour; 0 = any number
	ReadOnly  bool   // nothing is changed at all
	Freeze    string // why nothing new is made for a while, a sentence; "" = no freeze
}

// Approve puts a proposal into force from now on. An admin other than its
// proposer approves, whatever key they come with, and once.
func (s *Service) Approve(ctx context.Context, actor Actor, id int) (Exception, error) {
	return s.amend(ctx, id, func(e Exception, now time.Time) (entry, error) {
		guards := []Guard{guardRole(actor), s.guardOpen(), guardApprover(e, actor)}
		if err := refusal(guards); err != nil {
			return entry{}, err
		}
		if state := e.State(now); state != Proposed {
			return entry{}, fmt.Errorf("exception %d is %s: only a proposal is approved", id, state)
		}
		return entry{Kind: entryApprove, Actor: actor}, nil
	})
}

// guardApprover: four eyes. The same person with another key is one person.
func guardApprover(e Exception, actor Actor) Guard {
	const name = "approver"
	switch {
	case strings.EqualFold(actor.Name, e.Actor.Name):
		return refused(name, fmt.Sprintf("exception %d is your own: another admin approves it", e.ID))
	case actor.Role != Admin:
		return refused(name, fmt.Sprintf("%s is an %s: an admin approves", actor.Name, actor.Role))
	}
	return ok(name)
}

// guardOpen refuses new changes where the configuration says so.
func (s *Service) guardOpen() Guard {
	const name = "open"
	switch rules := s.rules(); {
	case rules.ReadOnly:
		return refused(name, "mailwhy is read-only: nothing is changed here")
	case rules.Freeze != "":
		return refused(name, "no changes are made now: "+rules.Freeze)
	}
	return ok(name)
}

// guardWritable refuses every change of what is only read.
func (s *Service) guardWritable() Guard {
	if g := s.guardOpen(); s.rules().ReadOnly {
		return g
	}
	return ok("open")
}

// guardRate keeps an operator, or who took their place, from opening the gate
// in bulk.
func (s *Service) guardRate(actor Actor, now time.Time) Guard {
	const name = "rate"
	most := s.rules().Hourly
	var made []time.Time
	for _, e := range s.ledger.exceptions {
		if e.Actor.Name == actor.Name && now.Sub(e.Created) < time.Hour {
			made = append(made, e.Created)
		}
	}
	if actor.Role == Admin || most == 0 || len(made) < most {
		return ok(name)
	}
	return refused(name, fmt.Sprintf("%s made %d exceptions within an hour, the most an operator may: the next one from %s on",
		actor.Name, len(made), made[len(made)-most].Add(time.Hour).Format("15:04 MST")))
}

// awaiting is what a draft waits for: the sentences of the guards that an
// approver can lift, when no other guard refuses and there are approvers.
func (s *Service) awaiting(guards []Guard) string {
	if !s.rules().Approvers {
		return ""
	}
	var sentences []string
	for _, g := range guards {
		switch g.Answer {
		case Refused:
			return ""
		case NeedsApprover:
			sentences = append(sentences, g.Sentence)
		}
	}
	return strings.Join(sentences, "; ")
}

func (s *Service) rules() Rules {
	if s.ruled == nil {
		return Rules{}
	}
	return s.ruled()
}
