package listen

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mailwhy/logparse/spool"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after 20 s", what)
		}
	}
}

// door is a listener at work.
type door struct {
	*Listener
	to   *spool.Spool
	stop func() error
}

func startDoor(t *testing.T, o Options) *door {
	t.Helper()
	to, err := spool.Open(spool.Options{Dir: t.TempDir()})
	check(t, err)
	o.Address = "127.0.0.1:0"
	if o.Spool == nil {
		o.Spool = func(netip.Addr) *spool.Spool { return to }
	}
	l, err := New(o)
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	d := &door{l, to, sync.OnceValue(func() error { cancel(); return errors.Join(<-done, to.Close()) })}
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *door) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial(d.options.Network, d.Addr().String())
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t *testing.T, conn io.Writer, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	check(t, err)
}

func (d *door) lines(t *testing.T) []string {
	t.Helper()
	var all []string
	check(t, d.to.After(spool.Position{}, func(line []byte) { all = append(all, string(line)) }))
	return all
}

// has waits until just these lines were taken.
func (d *door) has(t *testing.T, want ...string) {
	t.Helper()
	until(t, fmt.Sprintf("the lines %.200q", want), func() bool { return len(d.lines(t)) >= len(want) })
	if got := d.lines(t); !slices.Equal(got, want) {
		t.Errorf("the lines are %q, want %q", got, want)
	}
}

// ends waits until the other side has ended a connection.
func ends(t *testing.T, conn net.Conn) {
	t.Helper()
	check(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the connection was not ended: %v", err)
	}
}

func TestTCP(t *testing.T) {
	d := startDoor(t, Options{Network: "tcp"})
	counted, lines := d.dial(t), d.dial(t)
	send(t, counted, "18 <22>Nov 24 ten: on")
	d.has(t, "<22>Nov 24 ten: on")
	send(t, lines, "<22>Nov 24 ten: two\n<22>1 2026-11-24T10:00:00Z mx1 ten 1 - - three\r\n<22>half ")
	d.has(t, "<22>Nov 24 ten: on", "<22>Nov 24 ten: two", "<22>1 2026-11-24T10:00:00Z mx1 ten 1 - - three")
	send(t, lines, "a line\n")
	d.has(t, "<22>Nov 24 ten: on", "<22>Nov 24 ten: two", "<22>1 2026-11-24T10:00:00Z mx1 ten 1 - - three", "<22>half a line")
	if s := d.Stats(); s.Connections != 2 || s.Lines != 4 || !strings.HasSuffix(d.Note(), ", 2 connected") {
		t.Errorf("it counts %+v, and says %q", s, d.Note())
	}
	check(t, lines.Close())
	until(t, "one connection", func() bool { return d.Stats().Connections == 1 })
	if s := d.Stats(); s.Broken != 0 {
		t.Errorf("a sender that went away: %q", d.Note())
	}
}

// TestOneLine turns whatever arrives into one line, and nothing more than that.
func TestOneLine(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 123e6, time.UTC)
	from := netip.MustParseAddr("192.0.2.7")
	for in, want := range map[string]string{
		"<22>Nov 24 10:00:00 mx1 smtpd[1]: a\n":        "<22>Nov 24 10:00:00 mx1 smtpd[1]: a",
		"<22>smtpd[1]: a":                              "<22>2026-11-24T10:00:00.123Z 192.0.2.7 smtpd[1]: a",
		"<22>postfix/smtpd: a: b":                      "<22>2026-11-24T10:00:00.123Z 192.0.2.7 postfix/smtpd: a: b",
		"<22>datetime=2026-11-24T10:00:00+0000|a=b":    "<22>datetime=2026-11-24T10:00:00+0000|a=b",
		`<22>{"a":"b"}`:                                `<22>{"a":"b"}`,
		"<22>CEF:0|Cisco|C100V|15: a":                  "<22>CEF:0|Cisco|C100V|15: a",
		"no priority: a":                               "no priority: a",
		"<22>1 2026-11-24T10:00:00Z mx1 a - - - b\tc":  "<22>1 2026-11-24T10:00:00Z mx1 a - - - b\tc",
		"<22>Nov 24 10:00:00 mx1 a: b\nc\x1b[31md\x7f": "<22>Nov 24 10:00:00 mx1 a: b#012c#033[31md#177",
		"\r\n\x00": "",
	} {
		if got := string(oneLine([]byte(in), from, now)); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestUDP(t *testing.T) {
	d := startDoor(t, Options{Network: "udp", LongestLine: 40})
	conn := d.dial(t)
	for n, text := range []string{"<22>Nov 24 ten: one", "<22>Nov 24 ten: t\nw\no\n", "", "<22>" + strings.Repeat("x", 60), "<22>four"} {
		send(t, conn, text)
		until(t, "the datagram", func() bool { return len(d.lines(t)) >= n || n == 2 }) // over loopback they keep their order
	}
	d.has(t, "<22>Nov 24 ten: one", "<22>Nov 24 ten: t#012w#012o", "<22>"+strings.Repeat("x", 36), "<22>four")
	if s := d.Stats(); s.Cut != 1 || s.Dropped != 0 || d.Problem() != "" {
		t.Errorf("it counts %+v, and says %q", s, d.Problem())
	}
}

// TestFullSpool lets a sender wait over TCP, and counts what is dropped over
// UDP.
func TestFullSpool(t *testing.T) {
	room := make(chan struct{})
	full := func(t *testing.T) *spool.Spool {
		to, err := spool.Open(spool.Options{Dir: t.TempDir(), Limit: 400, Segment: 100, Used: func(string) int64 {
			select {
			case <-room:
				return 1000
			default:
				return 0
			}
		}})
		check(t, err)
		t.Cleanup(func() { check(t, to.Close()) })
		for err == nil {
			_, err = to.Offer([][]byte{bytes.Repeat([]byte("x"), 90)})
		}
		return to
	}
	line := strings.Repeat("y", 90)

	to := full(t)
	udp := startDoor(t, Options{Network: "udp", Spool: func(netip.Addr) *spool.Spool { return to }})
	send(t, udp.dial(t), line)
	until(t, "the drop", func() bool { return udp.Stats().Dropped == 1 })
	if want := "1 datagrams found no room and were dropped: over TCP a sender waits"; udp.Problem() != want {
		t.Errorf("it says %q", udp.Problem())
	}

	waiting := full(t)
	tcp := startDoor(t, Options{Network: "tcp", Spool: func(netip.Addr) *spool.Spool { return waiting }})
	send(t, tcp.dial(t), line+"\n")
	until(t, "the wait", func() bool { return waiting.Problem() != "" })
	close(room)
	until(t, "the line", func() bool { return tcp.Stats().Lines == 1 })
	if last, err := waiting.Last(); string(last) != line || err != nil {
		t.Errorf("the last line is %q, %v", last, err)
	}
}

// TestSenders keeps out who may not send and who comes too often.
func TestSenders(t *testing.T) {
	shut := startDoor(t, Options{Network: "tcp", Spool: func(netip.Addr) *spool.Spool { return nil }})
	ends(t, shut.dial(t))
	if s := shut.Stats(); s.Refused != 1 || !strings.HasSuffix(shut.Note(), ", 1 refused") {
		t.Errorf("it counts %+v, and says %q", s, shut.Note())
	}
	shutToDatagrams := startDoor(t, Options{Network: "udp", Spool: func(netip.Addr) *spool.Spool { return nil }})
	send(t, shutToDatagrams.dial(t), "<22>a: b")
	until(t, "the refusal", func() bool { return shutToDatagrams.Stats().Refused == 1 })

	for _, o := range []Options{{PerSender: 2}, {Connections: 2}} {
		o.Network = "tcp"
		d := startDoor(t, o)
		first := d.dial(t)
		d.dial(t)
		ends(t, d.dial(t))
		send(t, first, "<22>a: b\n")
		until(t, "a line of the first", func() bool { return d.Stats().Lines == 1 })
		check(t, first.Close())
		until(t, "room for another", func() bool { return d.Stats().Connections == 1 })
		send(t, d.dial(t), "<22>c: d\n")
		until(t, "a line of the next", func() bool { return d.Stats().Lines == 2 })
	}
}

// TestHostile ends connections that drip, that speak something else, and that
// announce more than there is; the others go on.
func TestHostile(t *testing.T) {
	d := startDoor(t, Options{Network: "tcp", Idle: 200 * time.Millisecond, LongestLine: 100})
	drip := d.dial(t)
	go func() {
		for {
			if _, err := drip.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	ends(t, drip)
	until(t, "the count", func() bool { return d.Stats().Broken == 1 })
	if note := d.Note(); !strings.HasSuffix(note, ", 1 connections ended, the last since 127.0.0.1: it was idle, or a line took too long") {
		t.Errorf("it says %q", note)
	}

	liar := d.dial(t)
	send(t, liar, "8 <22>a: b99999999999 <22>")
	ends(t, liar)
	until(t, "the count", func() bool { return d.Stats().Broken == 2 })

	torn := d.dial(t)
	send(t, torn, "50 <22>c: d")
	check(t, torn.Close())
	until(t, "the count", func() bool { return d.Stats().Broken == 3 })
	if got := d.lines(t); len(got) != 1 || !strings.HasSuffix(got[0], " a: b") {
		t.Errorf("the lines are %.300q", got)
	}
}

// A line that does not end for long is cut, and the one behind it is read.
func TestLongLine(t *testing.T) {
	d := startDoor(t, Options{Network: "tcp", Idle: time.Minute, LongestLine: 100})
	endless := d.dial(t)
	go func() {
		_, _ = io.Copy(endless, io.LimitReader(zeros{}, 8<<20))
		_, _ = io.WriteString(endless, "\n<22>e: f\n")
	}()
	until(t, "the line behind the long one", func() bool {
		last, _ := d.to.Last()
		return string(last) != "" && strings.HasSuffix(string(last), " e: f")
	})
	if got := d.lines(t); len(got) != 2 || len(got[0]) != 100 {
		t.Errorf("the lines are %.300q", got)
	}
}

// zeros is a line that does not end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

// authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	made int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	made := a.issue("authority.example", true)
	a.cert, a.key = made.Leaf, made.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

func (a *authority) issue(name string, ca bool) tls.Certificate {
	a.t.Helper()
	a.made++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(a.t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(a.made), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	parent, signer := c, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	check(a.t, err)
	leaf, err := x509.ParseCertificate(der)
	check(a.t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// TestTLS lets in clients whose certificate our authority has issued to a name
// that may send, and no others.
func TestTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	d := startDoor(t, Options{Network: "tls", Names: []string{"mx1.corp.example"}, TLS: &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ours.issue("logs.corp.example", false)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.pool(),
	}})
	try := func(certs ...tls.Certificate) net.Conn {
		raw, err := net.Dial("tcp", d.Addr().String())
		check(t, err)
		t.Cleanup(func() { _ = raw.Close() })
		conn := tls.Client(raw, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ours.pool(), ServerName: "logs.corp.example", Certificates: certs})
		_, _ = io.WriteString(conn, "8 <22>a: b") // TLS 1.3 tells a client later that it was refused
		return conn
	}
	for name, certs := range map[string][]tls.Certificate{
		"no certificate":      nil,
		"another authority's": {theirs.issue("mx1.corp.example", false)},
		"another's name":      {ours.issue("mx2.corp.example", false)},
	} {
		before := d.Stats().Broken
		ends(t, try(certs...))
		until(t, "the count of "+name, func() bool { return d.Stats().Broken == before+1 })
	}
	plain := d.dialTCP(t)
	send(t, plain, "9 <22>a: b and no handshake at all\n")
	ends(t, plain)
	if n := d.Stats().Lines; n != 0 {
		t.Errorf("%d lines of strangers", n)
	}
	try(ours.issue("mx1.corp.example", false))
	until(t, "a line", func() bool { return d.Stats().Lines == 1 })
}

func (d *door) dialTCP(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", d.Addr().String())
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestBadAddress(t *testing.T) {
	for _, o := range []Options{{Network: "tcp", Address: "127.0.0.1:none"}, {Network: "tls", Address: "127.0.0.1:0"}, {Network: "icmp"}} {
		if _, err := New(o); err == nil || !strings.HasPrefix(err.Error(), "listen for syslog on "+o.Network) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
