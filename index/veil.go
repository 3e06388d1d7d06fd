package index

import (
	"fmt"
	"strings"

	"mailwhy/engine/mail"
)

// Veil is what somebody who searches must not learn.
type Veil struct {
	Subject    bool     // no subject
	LocalParts bool     // no local part of an address, and no display name
	Hidden     []string // addresses and whole domains whose messages are not there
}

// Veiled rewrites a query so that neither what it finds nor how much it finds
// tells what is veiled: a fragment is never looked for in a veiled value. An
// address is then found by the whole of it, or by its domain. A *QueryError
// names the term that asks for more.
func (q Query) Veiled(v Veil) (Query, error) {
	var terms []Term
	for _, t := range q.Terms {
		t, err := t.veiled(v)
		if err != nil {
			return Query{}, err
		}
		terms = append(terms, t)
	}
	for _, hidden := range v.Hidden {
		t := Term{Field: "to", Value: string(mail.Path(hidden).Fold()), Not: true, fields: []string{fieldSender, fieldRecipient}, whole: true}
		if !strings.Contains(hidden, "@") {
			t.Value, t.whole = "@"+mail.FoldDomain(hidden), false
		}
		terms = append(terms, t)
	}
	q.Terms = terms
	return q, nil
}

func (t Term) veiled(v Veil) (Term, error) {
	refuse := func(sentence string) (Term, error) {
		return t, &QueryError{Pos: t.pos, Sentence: sentence}
	}
	address := strings.Index(t.Value, "@")
	switch t.Field {
	case "subject":
		if v.Subject || v.LocalParts {
			return refuse("your role does not search subjects")
		}
	case "reason", "rule", "cause":
		if v.LocalParts && address >= 0 {
			return refuse("your role searches addresses by from: and to:")
		}
		// A rule can name whom it is about; a reason is kept without addresses.
		t.whole = t.whole || v.LocalParts && t.Field == "rule"
	case "from", "to":
		if !v.LocalParts {
			break
		}
		t.fields = []string{fragmentFieldOf[t.Field]}
		switch {
		case address > 0:
			t.whole = true
		case address < 0 && !strings.Contains(t.Value, "."):
			return refuse(fmt.Sprintf("your role sees no local parts: give %s: a whole address or a domain", t.Field))
		case address < 0:
			t.Value = "@" + t.Value
		}
	case "":
		switch {
		case v.LocalParts && address > 0:
			t.fields, t.whole = []string{fieldSender, fieldRecipient}, true
		case v.LocalParts && address == 0:
			t.fields = []string{fieldSender, fieldRecipient}
		case v.LocalParts:
			t.fields = []string{fieldHost, fieldReason}
		case v.Subject:
			t.fields = []string{fieldSender, fieldRecipient, fieldHost, fieldReason}
		}
	}
	return t, nil
}

// searched are the fields a term without an exact field looks into.
func (t Term) searched() []string {
	switch {
	case t.fields != nil:
		return t.fields
	case t.Field != "":
		return []string{fragmentFieldOf[t.Field]}
	}
	return fragmentFields
}
