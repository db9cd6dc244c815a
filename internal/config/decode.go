package config

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The decoder is our own because its refusals must name the field by its path,
// know every level's keys, come all at once, and never repeat a value, which may
// be a secret. A field's key is in its "key" tag. A struct with a Kind takes the
// keys of the pointer field whose "kind" tag is that kind as well.

var durationType = reflect.TypeFor[time.Duration]()

func decode(value any, into reflect.Value, path string, bad *Problems) {
	if value == nil {
		return // "key:" without a value leaves the default
	}
	switch into.Kind() {
	case reflect.Struct:
		decodeStruct(value, into, path, bad)
	case reflect.Map:
		decodeMap(value, into, path, bad)
	case reflect.Slice:
		decodeList(value, into, path, bad)
	default:
		decodeScalar(value, into, path, bad)
	}
}

func decodeStruct(value any, into reflect.Value, path string, bad *Problems) {
	table, ok := value.(map[string]any)
	if !ok {
		bad.add(path, "must be a table of settings")
		return
	}
	fields := fieldsOf(into)
	if kind, ok := fields["kind"]; ok {
		decode(table["kind"], kind, join(path, "kind"), bad)
		maps.Copy(fields, kindFields(into, kind.String(), path, bad))
	}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		field, known := fields[key]
		if !known {
			bad.add(join(path, key), "is not a setting; there are "+strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
			continue
		}
		if key != "kind" {
			decode(table[key], field, join(path, key), bad)
		}
	}
}

// fieldsOf are a struct's fields by key.
func fieldsOf(into reflect.Value) map[string]reflect.Value {
	fields := map[string]reflect.Value{}
	for i := range into.NumField() {
		if key := into.Type().Field(i).Tag.Get("key"); key != "" {
			fields[key] = into.Field(i)
		}
	}
	return fields
}

func kindFields(into reflect.Value, kind, path string, bad *Problems) map[string]reflect.Value {
	var kinds []string
	for i := range into.NumField() {
		name := into.Type().Field(i).Tag.Get("kind")
		if name == "" {
			continue
		}
		kinds = append(kinds, name)
		if name == kind {
			into.Field(i).Set(reflect.New(into.Type().Field(i).Type.Elem()))
			return fieldsOf(into.Field(i).Elem())
		}
	}
	bad.add(join(path, "kind"), "must be one of "+strings.Join(kinds, ", "))
	return nil
}

func decodeMap(value any, into reflect.Value, path string, bad *Problems) {
	table, ok := value.(map[string]any)
	if !ok {
		bad.add(path, "must be a table of named entries")
		return
	}
	into.Set(reflect.MakeMap(into.Type()))
	for _, key := range slices.Sorted(maps.Keys(table)) {
		entry := reflect.New(into.Type().Elem()).Elem()
		decodeEntry(table[key], entry, join(path, key), bad)
		into.SetMapIndex(reflect.ValueOf(key), entry)
	}
}

func decodeList(value any, into reflect.Value, path string, bad *Problems) {
	if text, ok := value.(string); ok && into.Type().Elem().Kind() == reflect.String {
		value = commaList(text)
	}
	list, ok := value.([]any)
	if !ok {
		bad.add(path, "must be a list")
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(list), len(list)))
	for i, entry := range list {
		decodeEntry(entry, into.Index(i), path+"["+strconv.Itoa(i)+"]", bad)
	}
}

// decodeEntry decodes an entry of a map or list, where nothing stands for an empty
// table and not for a default: there is none, and what it lacks must be told.
func decodeEntry(value any, into reflect.Value, path string, bad *Problems) {
	if value == nil && into.Kind() == reflect.Struct {
		value = map[string]any{}
	}
	decode(value, into, path, bad)
}

// commaList is how the environment writes a list.
func commaList(text string) []any {
	var list []any
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

func decodeScalar(value any, into reflect.Value, path string, bad *Problems) {
	text, isText := value.(string)
	switch kind := into.Kind(); {
	case into.Type() == durationType:
		d, err := time.ParseDuration(text)
		if !isText || err != nil {
			bad.add(path, `must be a time with its unit, such as "30s" or "5m"`)
			return
		}
		into.SetInt(int64(d))
	case kind == reflect.Int:
		if n, ok := value.(int); ok {
			into.SetInt(int64(n))
			return
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			bad.add(path, "must be a whole number")
			return
		}
		into.SetInt(int64(n))
	case kind == reflect.Bool:
		if b, ok := value.(bool); ok {
			into.SetBool(b)
			return
		}
		if text != "true" && text != "false" {
			bad.add(path, "must be true or false")
			return
		}
		into.SetBool(text == "true")
	case !isText:
		bad.add(path, "must be a text; put it in quotes")
	default:
		into.SetString(text)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// scalars are the paths of all settings that stand at a fixed place: those that
// the environment can set. Entries of maps and lists of tables are not.
func scalars(of reflect.Type, path string) []string {
	var paths []string
	for i := range of.NumField() {
		field := of.Field(i)
		key := field.Tag.Get("key")
		if key == "" {
			continue
		}
		switch kind := field.Type.Kind(); {
		case kind == reflect.Struct:
			paths = append(paths, scalars(field.Type, join(path, key))...)
		case kind == reflect.Map, kind == reflect.Slice && field.Type.Elem().Kind() != reflect.String:
		default:
			paths = append(paths, join(path, key))
		}
	}
	return paths
}
