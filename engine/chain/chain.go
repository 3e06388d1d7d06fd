// Package chain writes JSON lines that end with the hash of all that stands
// before it, so that a line that was cut or edited tells so by itself; a line
// that carries the hash of the one before makes a file of them a chain.
//
//	line, hash := chain.Seal([]byte(`{"number":1,"prev":"` + chain.Genesis + `"}`))
//	hash, err := chain.Check(line[:len(line)-1])
//
// It must not know what the lines say.
package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// Genesis stands for the hash of the line before the first.
const Genesis = "0000000000000000000000000000000000000000000000000000000000000000"

const (
	key     = `,"hash":"`
	tailLen = len(key) + 2*sha256.Size + len(`"}`)
)

// Seal gives the line, with its line end, of a JSON object that has at least one
// member, and the hash (SHA-256, hexadecimal) that it ends with.
func Seal(object []byte) (line []byte, hash string) {
	body := bytes.TrimSuffix(object, []byte("}"))
	hash = digest(body)
	return append(bytes.Clone(body), key+hash+"\"}\n"...), hash
}

// Check gives the hash of a line without its line end. The error says what
// became of the line since it was sealed; its place in a chain is not looked at.
func Check(line []byte) (hash string, err error) {
	if len(line) < tailLen || !bytes.HasPrefix(line[len(line)-tailLen:], []byte(key)) || !bytes.HasSuffix(line, []byte(`"}`)) {
		return "", errors.New("it does not end with its hash: the line was cut or replaced")
	}
	body, tail := line[:len(line)-tailLen], line[len(line)-tailLen:]
	hash = digest(body)
	if string(tail[len(key):len(key)+len(hash)]) != hash {
		return "", errors.New("its hash does not fit its text: it was edited")
	}
	return hash, nil
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
