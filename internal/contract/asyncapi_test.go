package contract

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// asyncAPISchema is the schema that the AsyncAPI Initiative publishes.
func asyncAPISchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open("testdata/asyncapi-3.0.0.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	published, err := jsonschema.UnmarshalJSON(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("http://asyncapi.com/definitions/3.0.0/asyncapi.json", published); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("http://asyncapi.com/definitions/3.0.0/asyncapi.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestAsyncAPI holds the document against the official schema, follows its references, and
// holds its examples against the payloads that it gives.
func TestAsyncAPI(t *testing.T) {
	set := checker(t).Set()
	examples := map[string][][]byte{"uz.gov.request.decided.v1": {[]byte(good)}}
	text := set.AsyncAPI("Digital government", "1.2.3", examples)
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	schema := asyncAPISchema(t)
	if err := schema.Validate(document); err != nil {
		t.Errorf("the document is not AsyncAPI 3.0: %v", err)
	}
	broken, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(string(text), `"action": "receive"`, `"action": "takes"`, 1)))
	if err != nil || schema.Validate(broken) == nil {
		t.Errorf("the schema takes an action that there is not: %v", err)
	}
	var read struct {
		Channels map[string]struct {
			Messages map[string]struct {
				Ref string `json:"$ref"`
			}
		}
		Operations map[string]struct {
			Messages []struct {
				Ref string `json:"$ref"`
			}
		}
		Components struct {
			Messages map[string]struct {
				Payload  struct{ Schema json.RawMessage }
				Examples []struct{ Payload json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	var followed []string
	for _, m := range read.Operations["receiveEvents"].Messages {
		name := strings.TrimPrefix(m.Ref, "#/channels/events/messages/")
		in, ok := read.Channels["events"].Messages[name]
		if _, there := read.Components.Messages[strings.TrimPrefix(in.Ref, "#/components/messages/")]; !ok || !there {
			t.Errorf("%s leads to %q", m.Ref, in.Ref)
		}
		followed = append(followed, name)
	}
	var want []string
	tried := 0
	for _, c := range set.All() {
		want = append(want, c.Type)
		m := read.Components.Messages[c.Type]
		payload, err := jsonschema.UnmarshalJSON(strings.NewReader(string(m.Payload.Schema)))
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource("payload.json", payload); err != nil {
			t.Fatal(err)
		}
		compiled, err := compiler.Compile("payload.json")
		if err != nil {
			t.Fatalf("%s: %v", c.Type, err)
		}
		for _, e := range m.Examples {
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(e.Payload)))
			if err != nil || compiled.Validate(value) != nil {
				t.Errorf("%s: the example does not fit its payload: %v", c.Type, compiled.Validate(value))
			}
			tried++
		}
	}
	if !slices.Equal(followed, want) || tried != 1 {
		t.Errorf("messages %v, want %v; %d examples", followed, want, tried)
	}
}
