// Package tail follows log files: growth, rotation by rename, truncation,
// compressed backlog, files that appear later, and a restart in between.
//
// A file is known by its identity, a hash of its first complete line, which
// stays the same when it grows, is renamed or compressed. Events of the folder
// (fsnotify) wake the reader; a look at every file at each interval finds what
// events miss, so a filesystem without events is only slower.
//
//	f := tail.New(tail.Options{Paths: []string{"/var/log/maillog*"}, Identify: logparse.SourceID})
//	err := f.Run(ctx, sink)
//
// Bytes are read with pread, never mapped: a truncated map would fault. A slow
// sink stops the reading; nothing is dropped. It must not know what lines mean.
package tail
