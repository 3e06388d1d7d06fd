package engine

import (
	"maps"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// impactTally sums up messages that a change flips.
type impactTally struct {
	report              ImpactReport // without what the rest holds
	senders, recipients map[mail.Path]bool
	days                map[int64]int // by days since 1970, UTC
	worst               *worstOf
}

// mostWorst is how many of the worst messages are named.
const mostWorst = 5

func newImpactTally() *impactTally {
	return &impactTally{senders: map[mail.Path]bool{}, recipients: map[mail.Path]bool{}, days: map[int64]int{}, worst: &worstOf{most: mostWorst}}
}

func (t *impactTally) add(m *mail.Message) {
	t.report.Messages++
	t.senders[sender(m)] = true
	t.recipients[m.Recipient.Fold()] = true
	t.days[dayOf(m.Time)]++
	badness := 0
	if strings.EqualFold(m.Auth.SPF, "fail") || strings.EqualFold(m.Auth.DMARC, "fail") {
		t.report.FailedAuth++
		badness += 2
	}
	if spamOrVirus(m) {
		t.report.SpamOrVirus++
		badness += 4
	}
	if beforeData(m) {
		t.report.NeverScanned++
		badness++
	}
	t.worst.add(m.ID, badness)
}

const secondsOfDay = 24 * 60 * 60

// dayOf counts the days since 1970, UTC.
func dayOf(at time.Time) int64 {
	seconds := at.Unix()
	if seconds < 0 {
		seconds -= secondsOfDay - 1
	}
	return seconds / secondsOfDay
}

func (t *impactTally) addAll(o *impactTally) {
	t.report.Examined += o.report.Examined
	t.report.Messages += o.report.Messages
	t.report.FailedAuth += o.report.FailedAuth
	t.report.SpamOrVirus += o.report.SpamOrVirus
	t.report.NeverScanned += o.report.NeverScanned
	maps.Copy(t.senders, o.senders)
	maps.Copy(t.recipients, o.recipients)
	for day, n := range o.days {
		t.days[day] += n
	}
	for i, id := range o.worst.ids {
		t.worst.add(id, o.worst.marks[i])
	}
}

func (t *impactTally) whole() ImpactReport {
	r := t.report
	r.Senders, r.Recipients, r.Worst = len(t.senders), len(t.recipients), t.worst.ids
	r.ByDay = map[string]int{}
	for day, n := range t.days {
		r.ByDay[time.Unix(day*secondsOfDay, 0).UTC().Format(time.DateOnly)] = n
	}
	return r
}

// worstOf keeps the ids of the few worst messages, worst first and of equals
// the highest id, which is the newest.
type worstOf struct {
	most  int
	ids   []string
	marks []int
}

func (w *worstOf) add(id string, mark int) {
	at := len(w.marks)
	for at > 0 && (w.marks[at-1] < mark || w.marks[at-1] == mark && w.ids[at-1] < id) {
		at--
	}
	if at == w.most {
		return
	}
	w.ids = append(w.ids[:at], append([]string{id}, w.ids[at:]...)...)
	w.marks = append(w.marks[:at], append([]int{mark}, w.marks[at:]...)...)
	if len(w.ids) > w.most {
		w.ids, w.marks = w.ids[:w.most], w.marks[:w.most]
	}
}
