package logparse

import "bytes"

// mimeField is a fact a Mimecast event may carry, whatever the key is called.
type mimeField uint8

// The facts. The marks at the end have no use but to tell the kinds of v1
// events apart, which do not name themselves.
const (
	mimeTime mimeField = iota
	mimeID
	mimeAccount
	mimeType
	mimeAct
	mimeSender
	mimeHeaderFrom
	mimeRcpt
	mimeIP        // v1: the client on receipt, the next hop on delivery
	mimeClientIP  // v2
	mimeNextHopIP // v2
	mimeNextHop   // v2
	mimeDirection
	mimeRoute // the direction of events that have no direction
	mimeMessageID
	mimeSubject
	mimeRejType
	mimeRejCode
	mimeRejInfo
	mimeError
	mimeSpamScore
	mimeSpamDetail
	mimeSize
	mimeHold
	mimeDelivered
	mimePolicy // definition of an impersonation policy
	mimeMarkAttachments
	mimeMarkJournal
	mimeMarkScan // av, url, attachment, internal email protect, spam thread
	mimeMarkImpersonation
	mimeFields
)

// mimeFieldOf names the fact behind a key of v1 or v2, as far as one is used.
// The names of v2 have drifted (type was eventType, recipients is recipient in
// some events), and v1 writes some in lower case.
func mimeFieldOf(key []byte) (mimeField, bool) {
	switch string(key) {
	case "datetime", "timestamp":
		return mimeTime, true
	case "aCode", "aggregateId":
		return mimeID, true
	case "acc", "accountId":
		return mimeAccount, true
	case "type", "eventType":
		return mimeType, true
	case "Act", "action", "Action", "subtype", "subType":
		return mimeAct, true
	case "Sender", "senderEnvelope", "sender":
		return mimeSender, true
	case "headerFrom", "senderHeader":
		return mimeHeaderFrom, true
	case "Rcpt", "recipients", "recipient", "Recipient":
		return mimeRcpt, true
	case "IP":
		return mimeIP, true
	case "senderIp":
		return mimeClientIP, true
	case "destinationIp":
		return mimeNextHopIP, true
	case "Hostname", "hostname":
		return mimeNextHop, true
	case "Dir", "direction":
		return mimeDirection, true
	case "route", "Route":
		return mimeRoute, true
	case "MsgId", "messageId", "msgid":
		return mimeMessageID, true
	case "Subject", "subject":
		return mimeSubject, true
	case "RejType", "rejectionType":
		return mimeRejType, true
	case "RejCode", "rejectionCode":
		return mimeRejCode, true
	case "RejInfo", "rejectionInfo":
		return mimeRejInfo, true
	case "Error", "Err", "receiptErrors", "deliveryErrors":
		return mimeError, true
	case "SpamScore", "spamScore":
		return mimeSpamScore, true
	case "SpamProcessingDetail", "spamProcessingDetail":
		return mimeSpamDetail, true
	case "MsgSize", "emailSize":
		return mimeSize, true
	case "Hld", "holdReason":
		return mimeHold, true
	case "Delivered", "delivered":
		return mimeDelivered, true
	case "Definition", "policyDefinition":
		return mimePolicy, true
	case "AttNames", "AttCnt", "AttSize":
		return mimeMarkAttachments, true
	case "RcptActType", "RcptHdrType":
		return mimeMarkJournal, true
	case "fileName", "fileExt", "ScanResultInfo", "urlCategory", "UrlCategory", "url", "SourceIP", "sourceIp", "CustomerIP":
		return mimeMarkScan, true
	case "TaggedMalicious", "taggedMalicious", "InternalName", "ThreatDictionary":
		return mimeMarkImpersonation, true
	}
	return 0, false
}

// mimeEvent is one event as it is logged: slices of its line, or of a copy
// where JSON escapes had to be undone.
type mimeEvent struct {
	value [mimeFields][]byte
	late  uint64 // facts that stand behind the subject
}

// set notes a fact. Of a key that stands twice the one before the subject
// counts, and behind the subject the last one: what a sender can write between
// pipes in a subject is then never taken for the gateway's word. A key without
// a value gives way to its other name.
func (e *mimeEvent) set(field mimeField, value []byte) {
	bit := uint64(1) << field
	if len(e.value[field]) > 0 && e.late&bit == 0 {
		return
	}
	if e.value[mimeSubject] != nil && field != mimeSubject {
		e.late |= bit
	}
	if value == nil {
		value = []byte{}
	}
	e.value[field] = value
}

func (e *mimeEvent) has(field mimeField) bool { return e.value[field] != nil }

// mimeStage is the part of the gateway that tells an event.
type mimeStage uint8

const (
	mimeStageUnknown mimeStage = iota
	mimeReceipt
	mimeProcess
	mimeDelivery
	mimeImpersonation
	mimeOther // journal, scans, URL clicks: never a failure of the message
)

// stage is the kind of the event: by name, or in v1 by its keys.
func (e *mimeEvent) stage() mimeStage {
	if t := e.value[mimeType]; len(t) > 0 {
		switch string(bytes.ToLower(t)) {
		case "receipt":
			return mimeReceipt
		case "process":
			return mimeProcess
		case "delivery":
			return mimeDelivery
		case "impersonation protect", "impersonation":
			return mimeImpersonation
		case "journal", "jrnl", "av", "spam", "url protect", "attachment protect", "internal email protect":
			return mimeOther
		}
		return mimeStageUnknown
	}
	switch {
	case e.has(mimeDelivered):
		return mimeDelivery
	case e.has(mimeMarkJournal):
		return mimeOther
	case e.has(mimeMarkImpersonation):
		return mimeImpersonation
	case e.has(mimeMarkScan):
		return mimeOther
	case e.has(mimeHold) || e.has(mimeMarkAttachments) && !e.has(mimeIP) || e.has(mimeSize) && !e.has(mimeRcpt):
		return mimeProcess
	case e.has(mimeAct) || e.has(mimeRejType) || e.has(mimeRejCode):
		return mimeReceipt
	}
	return mimeStageUnknown
}
