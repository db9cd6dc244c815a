package config

import (
	"errors"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"

	"holdfast/internal/secret"
)

// fileField is the Field of a problem with the file as a whole.
const fileField = "configuration file"

// envPrefix begins the name of every environment variable of ours.
const envPrefix = "HOLDFAST_"

// VariableFor is the environment variable that sets the setting at path.
func VariableFor(path string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// Settings are the paths of all settings that the environment can set.
func Settings() []string { return scalars(reflect.TypeFor[Config](), "") }

// Source is where a configuration comes from.
type Source struct {
	// File is the YAML file's path; "" means that there is none.
	File string
	// Environ is the environment, as os.Environ has it; nil means empty.
	Environ []string
	// ReadFile reads the file and the secrets' files; nil means os.ReadFile.
	ReadFile func(path string) ([]byte, error)
}

// Load reads and judges a configuration. The Config is never nil; with problems
// it holds what could be read, for commands that need a part of it.
func Load(from Source) (*Config, Problems) {
	if from.ReadFile == nil {
		from.ReadFile = os.ReadFile
	}
	var bad Problems
	c := defaults()
	decode(from.settings(&bad), reflect.ValueOf(&c).Elem(), "", &bad)
	if len(bad.In("")) > 0 { // whatever else seems to be missing may stand in the file
		return &c, bad
	}
	c.readSecrets(from.ReadFile, &bad)
	c.check(&bad)
	return &c, bad
}

// settings merges the file and the environment, the environment last.
func (from Source) settings(bad *Problems) map[string]any {
	k := koanf.New(".")
	if from.File != "" {
		text, err := from.ReadFile(from.File)
		if err != nil {
			bad.add(fileField, "can't be read: "+err.Error())
		} else if err := k.Load(fileText(text), yaml.Parser()); err != nil {
			bad.add(fileField, "is not right: "+quoted.ReplaceAllString(strings.Join(strings.Fields(err.Error()), " "), "…"))
		}
	}
	paths := map[string]string{}
	for _, path := range Settings() {
		paths[VariableFor(path)] = path
	}
	variables := env.Provider(".", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return from.Environ },
		TransformFunc: func(name, value string) (string, any) {
			path, known := paths[name]
			if !known && !foreignVariable.MatchString(name) {
				bad.add(name, "is an environment variable that nothing reads; see docs/operations.md for those that are")
			}
			return path, value
		},
	})
	if err := k.Load(variables, nil); err != nil {
		bad.add(fileField, "and the environment do not fit together: "+err.Error())
	}
	return k.Raw()
}

// foreignVariable are HOLDFAST_… variables that are not settings: the one that
// names the file, and those that Kubernetes adds where a service is called
// "holdfast".
var foreignVariable = regexp.MustCompile(`^HOLDFAST_(CONFIG|SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)$`)

// fileText is a koanf.Provider of a file that was read already.
type fileText []byte

// ReadBytes returns the text.
func (t fileText) ReadBytes() ([]byte, error) { return t, nil }

// Read is for providers that need no parser.
func (t fileText) Read() (map[string]any, error) { return nil, errors.ErrUnsupported }

// quoted is how the YAML parser shows a value, which may be a secret.
var quoted = regexp.MustCompile("`[^`]*`")

// secretFrom fills a secret from its file where it was not given itself.
func secretFrom(text *secret.Text, file, path string, read func(string) ([]byte, error), bad *Problems) {
	switch {
	case file == "":
	case *text != "":
		bad.add(path, "and "+path+"_file are both set; keep one")
	default:
		secretFile(text, file, path+"_file", read, bad)
	}
}

func secretFile(text *secret.Text, file, path string, read func(string) ([]byte, error), bad *Problems) {
	content, err := read(file)
	if err != nil {
		bad.add(path, "can't be read: "+reasonOf(err))
		return
	}
	if *text = secret.Text(strings.TrimSpace(string(content))); *text == "" {
		bad.add(path, "names an empty file")
	}
}

// SecretFiles are the files that hold secrets, carriers' keys among them: nobody
// else should be able to read them.
func (c *Config) SecretFiles() []string {
	all := append([]string{c.SecretKeyFile, c.Database.URLFile}, c.CarrierKeys.Paths...)
	c.eachGateway(func(_ string, g Gateway) {
		switch {
		case g.Twilio != nil:
			all = append(all, g.Twilio.AuthTokenFile, g.Twilio.KeySecretFile)
		case g.Generic != nil:
			all = append(all, g.Generic.CallbackSecretFile)
			all = slices.AppendSeq(all, maps.Values(g.Generic.SecretFiles))
		}
	})
	all = slices.DeleteFunc(all, func(path string) bool { return path == "" })
	slices.Sort(all)
	return slices.Compact(all)
}

func reasonOf(err error) string {
	var failed *os.PathError
	if errors.As(err, &failed) {
		return failed.Path + ": " + failed.Err.Error()
	}
	return err.Error()
}
