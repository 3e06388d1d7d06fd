package index

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/blevesearch/bleve/v2"
	bleveDocument "github.com/blevesearch/bleve/v2/document"
	"github.com/blevesearch/bleve/v2/mapping"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"mailwhy/engine/mail"
)

// Fields of a document: keywords all, so that every query is a term query.
const (
	fieldSender    = "sender"    // envelope and header from
	fieldRecipient = "recipient" // final and original
	fieldHost      = "host"      // client and remote: name, ip, helo
	fieldSubject   = "subject"
	fieldReason    = "reason" // template of the reply and reported words
	fieldID        = "id"     // message id, queue id, token
	fieldOutcome   = "is"
	fieldCode      = "code"
	fieldRule      = "rule"
	fieldGateway   = "gw"
	fieldIP        = "ip"
	fieldCause     = "cause" // what Causes groups by
	fieldClock     = "t"     // hour, minute and second of the id's time: a broad answer is walked by them
	fieldMessage   = "m"     // the message as JSON; stored, not searched
)

// fragmentFields are those a bare word looks into.
var fragmentFields = []string{fieldSender, fieldRecipient, fieldHost, fieldSubject, fieldReason}

// termFields are those a query looks into.
var termFields = append([]string{fieldID, fieldOutcome, fieldClock, fieldCode, fieldRule, fieldGateway, fieldIP, fieldCause}, fragmentFields...)

// hasDocValues tells the fields whose values a broad fragment is held against
// and facets are counted by.
func hasDocValues(field string) bool {
	switch field {
	case fieldID, fieldRule, fieldOutcome, fieldCause:
		return true
	}
	return slices.Contains(fragmentFields, field)
}

func newMapping() mapping.IndexMapping {
	document := bleve.NewDocumentStaticMapping()
	for _, name := range termFields {
		f := bleve.NewKeywordFieldMapping()
		f.Store, f.IncludeInAll, f.IncludeTermVectors, f.SkipFreqNorm, f.DocValues = false, false, false, true, hasDocValues(name)
		document.AddFieldMappingsAt(name, f)
	}
	stored := bleve.NewKeywordFieldMapping()
	stored.Index, stored.Store, stored.IncludeInAll, stored.DocValues = false, true, false, false
	document.AddFieldMappingsAt(fieldMessage, stored)
	m := bleve.NewIndexMapping()
	m.DefaultMapping = document
	m.DefaultAnalyzer = "keyword"
	return m
}

// newDocument makes bleve's document of a message as the mapping says, without
// asking the mapping: that took a fifth of the time.
func newDocument(m *mail.Message, fields map[string][]string) (*bleveDocument.Document, error) {
	data, err := json.Marshal(row(*m))
	if err != nil {
		return nil, fmt.Errorf("encode message %s: %w", m.ID, err)
	}
	d := bleveDocument.NewDocument(m.ID)
	term := func(field, text string) {
		options := bleveindex.IndexField | bleveindex.SkipFreqNorm
		if hasDocValues(field) {
			options |= bleveindex.DocValues
		}
		d.AddField(bleveDocument.NewTextFieldWithIndexingOptions(field, nil, []byte(text), options))
	}
	for field, texts := range fields {
		for _, text := range texts {
			term(field, text)
		}
	}
	d.AddField(bleveDocument.NewTextFieldWithIndexingOptions(fieldMessage, nil, data, bleveindex.StoreField))
	return d, nil
}
