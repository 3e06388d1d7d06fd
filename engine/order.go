package engine

import "slices"

// Slot is one stage at one moment.
type Slot struct {
	Stage  Stage
	Moment Moment
}

// moments in the order of the SMTP dialogue and what follows it.
var moments = []Moment{MomentConnect, MomentRcpt, MomentData, MomentProcess, MomentDelivery}

// after reports whether a moment comes after another.
func (m Moment) after(o Moment) bool { return slices.Index(moments, m) > slices.Index(moments, o) }

// stagesAt lists, in the default order, the stages that can stand at each
// moment. The first four at rcpt and data are documented (domain 2, order
// across policy types); the rest is inferred from the vendor's log records.
var stagesAt = map[Moment][]Stage{
	MomentConnect:  {StageConnection},
	MomentRcpt:     {StageAntiSpoofing, StageBlockedSenders, StageManagedSenders, StagePermittedSenders, StageRecipient, StageReputation, StageGreylisting, StageDNSAuthentication},
	MomentData:     {StageAntiSpoofing, StageBlockedSenders, StageManagedSenders, StagePermittedSenders, StageDNSAuthentication, StageVirus, StageSpam, StageContent},
	MomentProcess:  {StageImpersonation, StageAttachment},
	MomentDelivery: {StageDelivery},
}

// documentedStages is how many stages at the head of a moment have an order
// that the vendor documents.
const documentedStages = 4

func defaultOrder() []Slot {
	var order []Slot
	for _, moment := range moments {
		for _, stage := range stagesAt[moment] {
			order = append(order, Slot{stage, moment})
		}
	}
	return order
}

// inferredNeighbours lists the positions i of an order where i and i+1 stand
// at the same moment in an order that is not documented, and could be exchanged.
func inferredNeighbours(order []Slot) []int {
	var at []int
	for i := 0; i+1 < len(order); i++ {
		a, b := order[i], order[i+1]
		if a.Moment == b.Moment && !(documented(a) && documented(b)) {
			at = append(at, i)
		}
	}
	return at
}

func documented(s Slot) bool {
	return slices.Index(stagesAt[s.Moment], s.Stage) < documentedStages && (s.Moment == MomentRcpt || s.Moment == MomentData)
}

func exchanged(order []Slot, i int) []Slot {
	other := slices.Clone(order)
	other[i], other[i+1] = other[i+1], other[i]
	return other
}
