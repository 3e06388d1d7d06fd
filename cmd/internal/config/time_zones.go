package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// checkTimeZones says what is wrong with time_zones.
func (c Config) checkTimeZones() error {
	for _, pattern := range slices.Sorted(maps.Keys(c.TimeZones)) {
		if _, err := filepath.Match(pattern, ""); err != nil {
			return fmt.Errorf("time_zones: %q is no file and no glob: a [ is not closed", pattern)
		}
		if _, err := time.LoadLocation(c.TimeZones[pattern]); err != nil {
			return fmt.Errorf("time_zones: the zone %q of %s is not known: write a name such as Europe/Zurich", c.TimeZones[pattern], pattern)
		}
	}
	return nil
}

// LocationOf is the time zone of the stamps of a log that have none: that of the
// longest pattern in time_zones that names the log, else time_zone. A pattern
// without a slash names a file in any folder; what rotation puts behind a name
// (".1", ".2.gz", "-20261123") does not make it another log.
func (c Config) LocationOf(path string) *time.Location {
	longest, zone := -1, c.TimeZone
	for pattern, name := range c.TimeZones {
		if len(pattern) > longest && namesLog(pattern, path) {
			longest, zone = len(pattern), name
		}
	}
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return time.UTC
	}
	return loc
}

func namesLog(pattern, path string) bool {
	if !strings.Contains(pattern, "/") {
		path = filepath.Base(path)
	}
	return slices.ContainsFunc([]string{pattern, pattern + ".*", pattern + "-*"}, func(p string) bool {
		named, err := filepath.Match(p, path)
		return err == nil && named
	})
}
