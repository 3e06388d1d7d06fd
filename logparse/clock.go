package logparse

import (
	"bytes"
	"time"
)

// clock turns the stamps of one stream into Unix milliseconds. Syslog stamps
// (RFC 3164) have no year: the first one gets the newest year that does not
// put it after the file's last write, and from there order decides, so that
// December is followed by January of the next year.
type clock struct {
	location *time.Location
	modTime  time.Time
	year     int   // of the newest year-less stamp, 0 = none yet
	last     int64 // the newest year-less stamp, to the hour

	hour     [9]byte // "Nov 23 08", the hour that hourBase starts
	hourBase int64
	day      [10]byte // "2026-11-23", the day that dayBase starts in UTC
	dayBase  int64
}

type savedClock struct {
	Year int   `json:"year,omitempty"`
	Last int64 `json:"last,omitempty"`
}

const (
	hourMilli = 60 * 60 * 1000
	dayMilli  = 24 * hourMilli
	// backStep is how far a clock may step back, or a late line stand behind,
	// before a year-less stamp counts as one of the next year.
	backStep = 31 * dayMilli
	// nextYearGap bounds the silence over a year's end in a file that has been
	// written to since it was opened.
	nextYearGap = 62 * dayMilli
	yearMilli   = 365 * dayMilli
)

func newClock(modTime time.Time, location *time.Location) clock {
	return clock{modTime: modTime, location: location}
}

func (c *clock) save() savedClock  { return savedClock{c.year, c.last} }
func (c *clock) load(s savedClock) { c.year, c.last = s.Year, s.Last }

func (c *clock) zone() *time.Location {
	if c.location == nil {
		return time.UTC
	}
	return c.location
}

// syslog reads a stamp of RFC 3164, "Nov  3 08:35:54", the first 15 bytes of b.
func (c *clock) syslog(b []byte) (ms int64, ok bool) {
	if len(b) < 15 || b[3] != ' ' || b[6] != ' ' || b[9] != ':' || b[12] != ':' {
		return 0, false
	}
	minute, ok1 := two(b[10:])
	second, ok2 := two(b[13:])
	if !ok1 || !ok2 || minute > 59 || second > 60 {
		return 0, false
	}
	if [9]byte(b[:9]) != c.hour || c.year == 0 {
		month := monthOf(b[:3])
		day, ok1 := two(b[4:])
		hour, ok2 := two(b[7:])
		if month == 0 || !ok1 || !ok2 || day < 1 || day > 31 || hour > 23 {
			return 0, false
		}
		c.hourBase = c.inYear(month, day, hour)
		c.hour = [9]byte(b[:9])
	}
	return c.hourBase + int64(minute*60+second)*1000, true
}

// inYear gives a year-less hour its year.
func (c *clock) inYear(month time.Month, day, hour int) int64 {
	at := func(year int) int64 { return time.Date(year, month, day, hour, 0, 0, 0, c.zone()).UnixMilli() }
	leap := month == time.February && day == 29
	limit := c.modTime.UnixMilli() + dayMilli // the writer's zone may be ahead of Location
	if c.year == 0 {
		c.year = 1970
		if !c.modTime.IsZero() {
			for c.year = c.modTime.In(c.zone()).Year() + 1; at(c.year) > limit; c.year-- {
			}
		}
		for leap && !isLeap(c.year) {
			c.year-- // 1968 where nothing is known: a day before the epoch is still a day
		}
		c.last = at(c.year)
		return c.last
	}
	if leap && !isLeap(c.year) {
		// The year was taken from a day before that other years have too.
		next := c.year + 4 - c.year%4
		if !isLeap(next) || at(next) > limit {
			for next = c.year; !isLeap(next); next-- {
			}
		}
		c.year = next
		c.last = at(next)
		return c.last
	}
	t := at(c.year)
	switch {
	case t < c.last-backStep:
		next := at(c.year + 1)
		if next <= limit || next-c.last <= nextYearGap {
			c.year++
			t = next
		}
	case t > c.last+yearMilli-backStep:
		return at(c.year - 1) // a late line of last year
	}
	c.last = max(c.last, t)
	return t
}

func isLeap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// iso reads a stamp of RFC 3339 or ISO 8601: "2026-11-23T08:35:54", with a
// space or a T between, with or without fraction, with Z, +01:00, +0100 or no
// zone. It returns the bytes it takes.
func (c *clock) iso(b []byte) (ms int64, n int, ok bool) {
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || (b[10] != 'T' && b[10] != ' ') || b[13] != ':' || b[16] != ':' {
		return 0, 0, false
	}
	hour, ok1 := two(b[11:])
	minute, ok2 := two(b[14:])
	second, ok3 := two(b[17:])
	if !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || second > 60 || !c.dayOf(b) {
		return 0, 0, false
	}
	ms = c.dayBase + int64(hour)*hourMilli + int64(minute*60+second)*1000
	fraction, fn := fractionOf(b[19:])
	ms, n = ms+fraction, 19+fn
	zone, zn, zoned := zoneOf(b[n:])
	if zoned {
		return ms - zone, n + zn, true
	}
	if c.location != nil && c.location != time.UTC {
		t := time.UnixMilli(ms).UTC()
		ms = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), c.location).UnixMilli()
	}
	return ms, n, true
}

// fractionOf reads ".123456" or ",123" in milliseconds.
func fractionOf(b []byte) (ms int64, n int) {
	if len(b) < 2 || b[0] != '.' && b[0] != ',' || !isDigit(b[1]) {
		return 0, 0
	}
	scale := int64(100)
	for n = 1; n < len(b) && isDigit(b[n]); n++ {
		ms += int64(b[n]-'0') * scale
		scale /= 10
	}
	return ms, n
}

// dayOf makes dayBase the start of the day that b begins with.
func (c *clock) dayOf(b []byte) bool {
	if [10]byte(b[:10]) == c.day {
		return true
	}
	century, ok1 := two(b)
	year, ok2 := two(b[2:])
	month, ok3 := two(b[5:])
	day, ok4 := two(b[8:])
	if !ok1 || !ok2 || !ok3 || !ok4 || month < 1 || month > 12 || day < 1 || day > 31 {
		return false
	}
	c.dayBase = time.Date(century*100+year, time.Month(month), day, 0, 0, 0, 0, time.UTC).UnixMilli()
	c.day = [10]byte(b[:10])
	return true
}

// zoneOf reads Z, +01:00 or +0100 as milliseconds east of UTC.
func zoneOf(b []byte) (ms int64, n int, ok bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	if b[0] == 'Z' {
		return 0, 1, true
	}
	if b[0] != '+' && b[0] != '-' || len(b) < 5 {
		return 0, 0, false
	}
	hour, ok1 := two(b[1:])
	n = 3
	if b[3] == ':' {
		n = 4
	}
	if len(b) < n+2 {
		return 0, 0, false
	}
	minute, ok2 := two(b[n:])
	ms = int64(hour*60+minute) * 60 * 1000
	if b[0] == '-' {
		ms = -ms
	}
	return ms, n + 2, ok1 && ok2
}

// two reads two digits; the first may be a space, as in "Nov  3".
func two(b []byte) (int, bool) {
	if len(b) < 2 || !isDigit(b[1]) {
		return 0, false
	}
	if b[0] == ' ' {
		return int(b[1] - '0'), true
	}
	if !isDigit(b[0]) {
		return 0, false
	}
	return int(b[0]-'0')*10 + int(b[1]-'0'), true
}

func isDigit(c byte) bool { return c-'0' < 10 }

// monthOf reads a month's abbreviation, 0 when it is none: English, and what
// German, Dutch, French, Spanish, Italian and Portuguese locales make of it,
// where it is three letters without an accent. German March has four bytes:
// see germanMarch.
func monthOf(b []byte) time.Month {
	name := [3]byte(b)
	for i := range name {
		name[i] |= 0x20 // lower case
	}
	switch string(name[:]) {
	case "jan", "ene", "gen":
		return time.January
	case "feb", "fev":
		return time.February
	case "mar", "mrt":
		return time.March
	case "apr", "avr", "abr":
		return time.April
	case "may", "mai", "mei", "mag":
		return time.May
	case "jun", "giu":
		return time.June
	case "jul", "lug":
		return time.July
	case "aug", "ago":
		return time.August
	case "sep", "set":
		return time.September
	case "oct", "okt", "ott", "out":
		return time.October
	case "nov":
		return time.November
	case "dec", "dez", "dic", "des":
		return time.December
	}
	return 0
}

// germanMarch is the month name that is longer in UTF-8 than three bytes.
var germanMarch = []byte("Mär ")

// syslogStamp reads the stamp of RFC 3164 at the start of b and the space
// behind it. Some writers add the year: "Nov 23 2026 08:35:54".
func (c *clock) syslogStamp(b []byte) (ms int64, n int, ok bool) {
	if bytes.HasPrefix(b, germanMarch) && len(b) >= 16 {
		english := [15]byte{'M', 'a', 'r'}
		copy(english[3:], b[4:])
		ms, ok = c.syslog(english[:])
		return ms, 16, ok
	}
	if ms, ok = c.syslog(b); ok {
		fraction, n := fractionOf(b[15:])
		return ms + fraction, 15 + n, true
	}
	if len(b) >= 14 && b[5] == ' ' { // "Mar 7 02:09:33", the day not padded
		padded := [15]byte{b[0], b[1], b[2], ' ', ' '}
		copy(padded[5:], b[4:14])
		ms, ok = c.syslog(padded[:])
		return ms, 14, ok
	}
	if len(b) >= 20 && b[6] == ' ' && b[11] == ' ' && monthOf(b[:3]) != 0 {
		month := monthOf(b[:3])
		iso := [19]byte{b[7], b[8], b[9], b[10], '-', '0' + byte(month)/10, '0' + byte(month)%10, '-', b[4], b[5], 'T'}
		copy(iso[11:], b[12:20])
		ms, _, ok = c.iso(iso[:])
		return ms, 20, ok
	}
	return 0, 0, false
}
