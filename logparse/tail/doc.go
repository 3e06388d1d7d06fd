// Package tail follows log files: growth, rotation by rename, truncation,
// compressed backlog, files that appear later, and a restart in between.
//
// A log is known by its identity, a hash of its first record, which stays the
// same when the file grows, is renamed or compressed. Events of the folder
// (fsnotify) wake the reader; a look at every file at each interval finds what
// events miss, so a filesystem without events is only slower.
//
//	f := tail.New(tail.Options{Paths: []string{"/var/log/maillog*"}, Identify: logparse.SourceID})
//	err := f.Run(ctx, sink)
//
// Bytes are read with pread, never mapped: a truncated map would fault. A slow
// sink stops the reading; nothing is dropped. Where a log was written anew
// under the reader, some of it is given twice, at the same offsets, rather
// than any of it never. It must not know what lines mean.
package tail
