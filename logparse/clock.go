package logparse

import "time"

// clock turns the stamps of one stream into Unix milliseconds. Syslog stamps
// (RFC 3164) have no year: the first one gets the newest year that does not
// put it after the file's last write, and from there order decides, so that
// December is followed by January of the next year.
type clock struct {
	location *time.Location
	modTime  time.Time
	year     int   // year of the newest year-less stamp, 0 = none yet
	last     int64 // that stamp

}

type savedClock struct {
	Year int   `json:"year,omitempty"`
	Last int64 `json:"last,omitempty"`
}

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
