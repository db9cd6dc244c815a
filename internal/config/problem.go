package config

import (
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration, and the cure.
type Problem struct {
	Field string // its path in the file, e.g. "sms.gateways.main.base_url"
	Text  string // what is wrong and what to write instead; never a secret
}

// Problems are all that is wrong. As an error it lists every one.
type Problems []Problem

func (p Problems) Error() string {
	var b strings.Builder
	b.WriteString("the configuration is not right:")
	for _, one := range p {
		b.WriteString("\n  " + one.Field + " " + one.Text)
	}
	return b.String()
}

// Err is p as an error, nil where nothing is wrong.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// In returns the problems of one section, a table or a list, and of the file
// itself: what a command that needs nothing else must mind.
func (p Problems) In(section string) Problems {
	return slices.DeleteFunc(slices.Clone(p), func(one Problem) bool {
		return one.Field != fileField && !inside(one.Field, section)
	})
}

func inside(field, section string) bool {
	rest, ok := strings.CutPrefix(field, section)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

func (p *Problems) add(field, text string) {
	if text != "" {
		*p = append(*p, Problem{Field: field, Text: text})
	}
}
