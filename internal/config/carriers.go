package config

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Carrier is one way to ask a mobile network whose phone a browser is on.
type Carrier struct {
	// Name stands in the callback's path, which is registered with the carrier; it
	// must not change while links are under way.
	Name string `key:"name"`
	// Networks are the address ranges that the carrier's phones come from. None
	// means: wherever no other carrier's ranges match. Only one carrier may do so.
	Networks []string `key:"networks"`
	Kind     string   `key:"kind"`
	Camara   *Camara  `kind:"camara"`

	// Prefixes are Networks as Load read them.
	Prefixes []netip.Prefix
}

// CarrierKeys are the private keys that prove this server to carriers
// (private_key_jwt), shared by all carriers and published at
// /.well-known/jwks.json.
type CarrierKeys struct {
	// Paths are PEM files, and folders whose *.pem are taken. Required where there
	// is a carrier.
	Paths []string `key:"paths"`
	// Overlap is how long a key is published before it signs; 0 means 24h.
	Overlap time.Duration `key:"overlap"`
}

// Camara is a carrier with CAMARA Number Verification behind OpenID Connect.
type Camara struct {
	// Issuer is the authorization server's issuer identifier, exactly as it calls
	// itself. Required. Its endpoints are discovered, unless Endpoints has all three.
	Issuer    string    `key:"issuer"`
	Endpoints Endpoints `key:"endpoints"`
	// ClientID is what the carrier calls this server. Required.
	ClientID string `key:"client_id"`
	// Alg is "RS256" or "ES256", as registered with the carrier; "" means that of
	// the newest key.
	Alg string `key:"alg"`
	// Audience is the aud of client assertions; "" means the token endpoint's URL.
	Audience string `key:"audience"`
	// APIRoot is where the carrier's APIs are. Required. VersionPath follows it; ""
	// means number-verification/v2.
	APIRoot     string `key:"api_root"`
	VersionPath string `key:"version_path"`
	// Purpose is the one dpv: scope; "" means dpv:FraudPreventionAndDetection.
	Purpose string `key:"purpose"`
	// HashedNumber sends SHA-256 of the number instead of the number.
	HashedNumber bool `key:"hashed_number"`
	// InsecureHTTP lets the carrier be plain http on this machine itself: safe where
	// that is a proxy of one's own to the carrier. Whoever answers there decides
	// who is verified.
	InsecureHTTP bool `key:"insecure_http"`
}

// Endpoints are an authorization server's, where it has no discovery.
type Endpoints struct {
	Authorization string `key:"authorization"`
	Token         string `key:"token"`
	JWKS          string `key:"jwks"`
}

// carrierName is what can stand in a callback's path.
var carrierName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

func (c *Camara) check(path string, bad *Problems) {
	required := func(key, value, what string) {
		if value == "" {
			bad.add(path+"."+key, "is required: "+what)
		} else if key != "client_id" {
			checkCarrierURL(path+"."+key, value, c.InsecureHTTP, bad)
		}
	}
	required("issuer", c.Issuer, "the authorization server's identifier, as it calls itself")
	required("client_id", c.ClientID, "what the carrier calls this server")
	required("api_root", c.APIRoot, "where the carrier's APIs are")
	if c.Endpoints != (Endpoints{}) {
		required("endpoints.authorization", c.Endpoints.Authorization, "all three endpoints, or none of them to discover them")
		required("endpoints.token", c.Endpoints.Token, "all three endpoints, or none of them to discover them")
		required("endpoints.jwks", c.Endpoints.JWKS, "all three endpoints, or none of them to discover them")
	}
	if c.Alg != "" && c.Alg != "RS256" && c.Alg != "ES256" {
		bad.add(path+".alg", "must be RS256 or ES256")
	}
}

func (c *Config) checkCarriers(bad *Problems) {
	if len(c.Carriers) > 0 && len(c.CarrierKeys.Paths) == 0 {
		bad.add("carrier_keys.paths", "is required: PEM files of the keys that are registered with the carriers")
	}
	if c.CarrierKeys.Overlap < 0 {
		bad.add("carrier_keys.overlap", "must not be negative")
	}
	names, claimed, rest := map[string]int{}, map[netip.Prefix]string{}, ""
	for i := range c.Carriers {
		carrier, path := &c.Carriers[i], "carriers["+strconv.Itoa(i)+"]"
		if !carrierName.MatchString(carrier.Name) {
			bad.add(path+".name", "is required: a-z, 0-9 and -, at most 32 characters; it stands in the callback's URL")
		} else if names[carrier.Name]++; names[carrier.Name] > 1 {
			bad.add(path+".name", "is another carrier's name as well")
		}
		if len(carrier.Networks) == 0 {
			if rest != "" {
				bad.add(path+".networks", "is required: "+rest+" serves all networks that no carrier names, and only one can")
			}
			rest = path
		}
		carrier.readNetworks(path+".networks", claimed, bad)
		if carrier.Camara != nil {
			carrier.Camara.check(path, bad)
		}
	}
}

// checkCarrierURL is stricter than checkURL: a pretend carrier on this machine,
// which would verify anybody, must not get into a server by mistake.
func checkCarrierURL(field, text string, insecure bool, bad *Problems) {
	if strings.HasPrefix(text, "http://") && !insecure {
		bad.add(field, "must be https; a proxy on this machine needs insecure_http")
		return
	}
	checkURL(field, text, false, bad)
}

func (c *Carrier) readNetworks(path string, claimed map[netip.Prefix]string, bad *Problems) {
	for i, text := range c.Networks {
		field := path + "[" + strconv.Itoa(i) + "]"
		prefix, err := parsePrefix(text)
		if err != nil {
			bad.add(field, `must be a network or address, such as "192.0.2.0/24"`)
			continue
		}
		if other, taken := claimed[prefix]; taken {
			bad.add(field, "is claimed by "+other+" as well")
			continue
		}
		claimed[prefix] = field
		c.Prefixes = append(c.Prefixes, prefix)
	}
	c.Prefixes = slices.Clip(c.Prefixes)
}
