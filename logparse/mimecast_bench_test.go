package logparse

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// mimecastTraffic writes the v1 events of a tenant's day, the same for the
// same size: of 100 messages 15 are refused, 2 are deferred or bounced by the
// next hop, the others pass all three stages.
func mimecastTraffic(size int) []byte {
	rnd := rand.New(rand.NewPCG(7, 2026))
	now := time.Date(2026, time.November, 22, 0, 0, 0, 0, time.UTC)
	var b bytes.Buffer
	for n := 0; b.Len() < size; n++ {
		now = now.Add(time.Duration(rnd.IntN(400)) * time.Millisecond)
		head := fmt.Sprintf("datetime=%s|aCode=%08x-%012xAa|acc=C0A0", now.Format("2006-01-02T15:04:05-0700"), n, rnd.Uint64()>>16)
		from, to := fmt.Sprintf("user%d@sender%d.example", rnd.IntN(5000), rnd.IntN(900)), fmt.Sprintf("person%d@corp.example", rnd.IntN(20_000))
		ip := fmt.Sprintf("203.0.113.%d", rnd.IntN(256))
		kind := rnd.IntN(100)
		if kind < 15 {
			fmt.Fprintf(&b, "%s|Sender=%s|Rcpt=%s|Act=Rej|RejInfo=Administrative prohibition - envelope blocked|IP=%s|RejType=Envelope Rejected|RejCode=550|Dir=Inbound|headerFrom=\r", head, from, to, ip)
			continue
		}
		id := fmt.Sprintf("<%d.%x@sender.example>", n, rnd.Uint64())
		fmt.Fprintf(&b, "%s|SpamLimit=28|IP=%s|Dir=Inbound|MsgId=%s|Subject=Numbers of week %d, as discussed|headerFrom=%s|Sender=%s|Rcpt=%s|SpamInfo=[]|Act=Acc|TlsVer=TLSv1.2|Cphr=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384|SpamScore=0\r", head, ip, id, n, from, from, to)
		fmt.Fprintf(&b, "%s|AttSize=0|Act=Acc|AttCnt=0|AttNames=|MsgSize=%d|MsgId=%s\r", head, 1000+rnd.IntN(90_000), id)
		result := "Delivered=true"
		if kind < 17 {
			result = "Delivered=false|RejType=Mailbox full|RejCode=452|RejInfo=4.2.2 The mailbox is full"
		}
		fmt.Fprintf(&b, "%s|%s|IP=198.51.100.6|AttCnt=0|Dir=Inbound|ReceiptAck=250 2.6.0 %s [InternalId=7142530617360, Hostname=store1.corp.example] 7258 bytes in 0.122, 57,888 KB/sec Queued mail for delivery|MsgId=%s|Subject=Numbers of week %d, as discussed|Latency=5049|Sender=%s|Rcpt=%s|AttSize=0|Attempt=1|Snt=6043|UseTls=No|Route=Store\r", head, result, id, id, n, from, to)
	}
	return b.Bytes()
}

// BenchmarkMimecastV1 parses 16 MiB from memory, joins and evidence included.
//
//	go test ./logparse -run xxx -bench MimecastV1
func BenchmarkMimecastV1(b *testing.B) {
	data := mimecastTraffic(16 << 20)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		p := NewParser(Options{})
		s := p.Open(Source{ID: "0123456789abcdef", Name: "siem.log"})
		for pos := 0; pos < len(data); {
			end := min(pos+256<<10, len(data))
			pos += s.Feed(int64(pos), data[pos:end], end == len(data))
			p.Drain(func(mail.Message) {})
		}
	}
}
