package contract

import (
	"encoding/json"
	"maps"
	"slices"
)

// AsyncAPI is an AsyncAPI 3.0 document of the set for integrators: one HTTP channel, POST
// /v1/events, which takes an event of any of the types as a CloudEvent. The payload of each
// message is the contract's [Contract.JSONSchema]; examples are those that the pack gives,
// by type. title and version are what the document calls itself.
func (s *Set) AsyncAPI(title, version string, examples map[string][][]byte) []byte {
	channel, refs, components := map[string]any{}, []any{}, map[string]any{}
	tags := map[string]bool{}
	for _, c := range s.all {
		message := map[string]any{
			"name":        c.Type,
			"title":       c.Title.In("en"),
			"description": c.About,
			"contentType": "application/cloudevents+json",
			"payload": map[string]any{
				"schemaFormat": "application/schema+json;version=draft-2020-12",
				"schema":       json.RawMessage(c.JSONSchema()),
			},
		}
		if c.Source != "" {
			message["tags"] = []any{map[string]any{"name": c.Source}}
			tags[c.Source] = true
		}
		list := []any{}
		for _, e := range examples[c.Type] {
			list = append(list, map[string]any{"payload": json.RawMessage(e)})
		}
		if len(list) > 0 {
			message["examples"] = list
		}
		components[c.Type] = message
		channel[c.Type] = map[string]any{"$ref": "#/components/messages/" + c.Type}
		refs = append(refs, map[string]any{"$ref": "#/channels/events/messages/" + c.Type})
	}
	named := []any{}
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		named = append(named, map[string]any{"name": tag})
	}
	info := map[string]any{
		"title":   title,
		"version": version,
		"description": "Events that are counted. Each is a CloudEvent 1.0 in JSON, sent to POST /v1/events: one as application/cloudevents+json, many as " +
			"application/cloudevents-batch+json or one a line as application/x-ndjson. An event is counted once, by its source and id, however often it is sent; " +
			"the answer leaves when it is on disk, and names those that were refused, with field and reason.",
	}
	if len(named) > 0 {
		info["tags"] = named
	}
	document := map[string]any{
		"asyncapi":           "3.0.0",
		"info":               info,
		"defaultContentType": "application/cloudevents+json",
		"channels": map[string]any{"events": map[string]any{
			"address":     "/v1/events",
			"title":       "The door",
			"description": "Takes events of every type below.",
			"messages":    channel,
		}},
		"operations": map[string]any{"receiveEvents": map[string]any{
			"action":   "receive",
			"title":    "Takes events",
			"channel":  map[string]any{"$ref": "#/channels/events"},
			"messages": refs,
			"bindings": map[string]any{"http": map[string]any{"method": "POST", "bindingVersion": "0.3.0"}},
		}},
		"components": map[string]any{"messages": components},
	}
	out, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		panic("contract: an AsyncAPI document of strings and schemas does not marshal: " + err.Error())
	}
	return append(out, '\n')
}
