package audit

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"mailwhy/cmd/internal/durable"
)

// person is a line of the file of people: a reference is the hash of a salt of
// its own and the address, so that without the line nothing leads from one to
// the other.
type person struct {
	Ref   string `json:"ref"`
	Salt  string `json:"salt"`
	Value string `json:"value"`
}

// people are the references in use.
type people struct {
	path    string
	byRef   map[string]person
	byValue map[string]string // reference
	torn    bool              // the file ends with half a line
}

func openPeople(path string) (people, error) {
	p := people{path: path, byRef: map[string]person{}, byValue: map[string]string{}}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return p, fmt.Errorf("read the people of the audit: %w", err)
	}
	p.torn = len(data) > 0 && !bytes.HasSuffix(data, []byte("\n"))
	for line := range bytes.Lines(data) {
		var one person
		if json.Unmarshal(line, &one) == nil { // half a line names nobody: a new reference is made
			p.byRef[one.Ref], p.byValue[one.Value] = one, one.Ref
		}
	}
	return p, nil
}

func (p *people) of(ref string) string { return p.byRef[ref].Value }

// reference gives the person's, making one on first use.
func (p *people) reference(value string) (string, error) {
	value = strings.ToLower(value)
	if ref, known := p.byValue[value]; known {
		return ref, nil
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("make a reference: %w", err)
	}
	sum := sha256.Sum256(append(bytes.Clone(salt), value...))
	one := person{Ref: hex.EncodeToString(sum[:16]), Salt: hex.EncodeToString(salt), Value: value}
	line, err := json.Marshal(one)
	if err != nil {
		return "", fmt.Errorf("make a reference: %w", err)
	}
	f, err := os.OpenFile(p.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return "", fmt.Errorf("keep a reference: %w", err)
	}
	line = append(line, '\n')
	if p.torn {
		line = append([]byte("\n"), line...)
	}
	_, err = f.Write(line)
	p.torn = err != nil
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("keep a reference: %w", err)
	}
	p.byRef[one.Ref], p.byValue[value] = one, one.Ref
	return one.Ref, nil
}

// forget writes the file without the person.
func (p *people) forget(value string) (bool, error) {
	value = strings.ToLower(value)
	ref, known := p.byValue[value]
	if !known {
		return false, nil
	}
	delete(p.byValue, value)
	delete(p.byRef, ref)
	var all bytes.Buffer
	encoder := json.NewEncoder(&all)
	for _, one := range p.byRef {
		if err := encoder.Encode(one); err != nil {
			return false, fmt.Errorf("forget a person: %w", err)
		}
	}
	if err := durable.Replace(p.path, all.Bytes()); err != nil {
		return false, fmt.Errorf("forget a person: %w", err)
	}
	p.torn = false
	return true, nil
}
