package tui

import (
	"fmt"
	"slices"
	"strings"

	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/engine/reply"
)

// verdictWords is a verdict in a few words.
func verdictWords(v engine.Verdict) string {
	switch {
	case v.Outcome == nil:
		return "undetermined"
	case *v.Outcome == mail.Accepted:
		return "accepted" + likely(v)
	}
	text := string(*v.Outcome)
	if v.Moment != "" {
		text += " at " + moment(v.Moment)
	}
	if v.Policy != "" {
		text += " by " + v.Policy
	} else if v.Stage != "" {
		text += " by " + words(string(v.Stage))
	}
	return text + likely(v)
}

func likely(v engine.Verdict) string {
	if v.Certainty == engine.Likely {
		return " (likely)"
	}
	return ""
}

// moment writes the SMTP commands as they are sent.
func moment(m engine.Moment) string {
	switch m {
	case engine.MomentRcpt, engine.MomentData:
		return strings.ToUpper(string(m))
	}
	return string(m)
}

func phase(p mail.Phase) string {
	switch p {
	case mail.PhaseHelo, mail.PhaseMail, mail.PhaseRcpt, mail.PhaseData:
		return strings.ToUpper(string(p))
	case mail.PhaseEndOfData:
		return "end of data"
	}
	return string(p)
}

// words writes an identifier as words.
func words(s string) string { return strings.ReplaceAll(s, "_", " ") }

// story is the one sentence a caller understands, with how far it can be
// relied on.
func story(t engine.Trace, m mail.Message, explained reply.Explanation) string {
	logged := cause(m, func(string) reply.Explanation { return explained })
	sentences := []string{decision(t, explained, logged+epilogue(m)), agreement(t.Agreement, logged, t.Verdict), certainty(t.Verdict)}
	return strings.Join(slices.DeleteFunc(sentences, func(s string) bool { return s == "" }), " ")
}

func decision(t engine.Trace, explained reply.Explanation, logged string) string {
	v := t.Verdict
	switch {
	case v.Outcome == nil && slices.Contains(v.Missing, "policies"):
		return upper(stop(firstOf(explained.Meaning, logged))) + " No policies are loaded, so no rule can be named: write the policy file's path into the configuration."
	case v.Outcome == nil:
		return "What the policies decide cannot be said" + missing(v) + "."
	case *v.Outcome == mail.Accepted && t.Agreement.Result == engine.NotPolicy:
		return "No policy stops it. " + upper(stop(firstOf(explained.Meaning, logged)))
	case *v.Outcome == mail.Accepted:
		return "No policy stops it."
	case v.Policy == "":
		return upper(string(*v.Outcome)) + " by " + words(string(v.Stage)) + "."
	}
	text := upper(verb(*v.Outcome)) + " by policy " + v.Policy
	c := named(t, v)
	if c.Description != "" {
		text += fmt.Sprintf(" %q", c.Description)
	}
	if c.Because != "" {
		text += ": " + strings.TrimSuffix(c.Because, ".")
	}
	return text + "."
}

func verb(o mail.Outcome) string {
	if o == mail.Rejected {
		return "blocked"
	}
	return string(o)
}

// named finds what a verdict's policy was in its step.
func named(t engine.Trace, v engine.Verdict) engine.Considered {
	for _, step := range t.Steps {
		if step.Stage != v.Stage || v.Moment != "" && step.Moment != v.Moment {
			continue
		}
		for _, c := range step.Policies {
			if c.ID == v.Policy {
				return c
			}
		}
	}
	return engine.Considered{}
}

func agreement(a engine.Agreement, logged string, v engine.Verdict) string {
	switch a.Result {
	case engine.Agrees:
		return "The log agrees."
	case engine.PolicyChanged:
		return stop(upper(firstOf(a.Detail, "The policies have changed since: the log says "+firstOf(a.Logged, logged))))
	case engine.NotPolicy:
		if v.Outcome == nil || *v.Outcome != mail.Accepted {
			return stop(upper(firstOf(a.Detail, "The log names a cause that is no policy: "+firstOf(a.Logged, logged))))
		}
		return stop(upper(firstOf(a.Detail, "The log's cause is no policy")))
	case engine.Unexplained:
		return stop("The log tells another story: " + firstOf(a.Detail, a.Logged, logged))
	case engine.NotLogged:
		return "The log does not say why."
	}
	return ""
}

func certainty(v engine.Verdict) string {
	var parts []string
	switch v.Certainty {
	case engine.Certain:
		parts = append(parts, "Certain.")
	case engine.Likely:
		parts = append(parts, "Likely"+missing(v)+".")
	}
	if v.Ambiguous && len(v.Tied) > 0 {
		parts = append(parts, strings.Join(v.Tied, ", ")+" tie; the cautious one is taken.")
	}
	if v.DependsOnCompare {
		parts = append(parts, "Comparing To before From would change this.")
	}
	if len(v.Assumes) > 0 {
		parts = append(parts, "This rests on what is inferred: "+strings.Join(v.Assumes, ", ")+".")
	}
	return strings.Join(parts, " ")
}

func missing(v engine.Verdict) string {
	if len(v.Missing) == 0 {
		return ""
	}
	return ": not logged " + plural(len(v.Missing), "is ", "are ") + words(strings.Join(v.Missing, ", "))
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// stop ends a text as a sentence.
func stop(s string) string {
	if s == "" || strings.HasSuffix(s, ".") || strings.HasSuffix(s, "!") || strings.HasSuffix(s, "?") {
		return s
	}
	return s + "."
}

func upper(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// kindWords is what an exception or remedy of a kind does.
func kindWords(k engine.Kind) string {
	switch k {
	case engine.KindManagedPermit:
		return "permit in the recipient's list:"
	case engine.KindManagedDelete:
		return "delete from the recipient's list:"
	case engine.KindManagedBlock:
		return "block in the recipient's list:"
	case engine.KindGroupRemove:
		return "remove from its group:"
	}
	return string(k)
}

// scopeWords writes the grammar of --scope with a message's addresses; what is
// not of that grammar stays as it is.
func scopeWords(scope string, m mail.Message, arrow string) string {
	pair, extra, _ := strings.Cut(scope, ",")
	from, to, ok := strings.Cut(pair, ">")
	if !ok {
		return scope
	}
	address := m.EnvelopeFrom
	if strings.Contains(extra, "header") || !address.Known() || address.Null() {
		address = firstPath(m.HeaderFrom, address)
	}
	switch from {
	case "sender":
		from = firstOf(string(address), "the sender")
	case "domain":
		from = "all of " + firstOf(address.Domain(), "the domain")
	}
	switch {
	case to == "recipient":
		to = recipient(m)
	case to == "all":
		to = "all recipients"
	case strings.HasPrefix(to, "group:"):
		to = "group " + strings.TrimPrefix(to, "group:")
	}
	text := from + " " + arrow + " " + to
	for part := range strings.SplitSeq(extra, ",") {
		switch part {
		case "header":
			text += ", by header from"
		case "both":
			text += ", by envelope or header"
		case "ip":
			text += ", from its client alone"
		}
	}
	return text
}

func firstPath(paths ...mail.Path) mail.Path {
	for _, p := range paths {
		if p != "" {
			return p
		}
	}
	return ""
}

// impactWords is a blast radius in a few words.
func impactWords(i engine.ImpactReport) string {
	text := "lets in " + number(i.Messages) + " like it"
	if i.Senders > 1 {
		text = "lets in " + number(i.Messages) + " of " + number(i.Senders) + " senders"
	}
	if i.NeverScanned > 0 {
		text += ", " + number(i.NeverScanned) + " never scanned"
	}
	if i.FailedAuth > 0 {
		text += ", " + number(i.FailedAuth) + " failed SPF or DMARC"
	}
	if i.SpamOrVirus > 0 {
		text += ", " + number(i.SpamOrVirus) + " spam or virus"
	}
	return text
}
