package dashboards

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"
	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var documentSource []byte

//go:embed docs.html
var docsTemplate string

//go:embed docs.css
var docsStyle []byte

// document is openapi.yaml in the two forms in which it is served.
type document struct {
	json []byte
	html []byte
}

// The parts of OpenAPI 3.1 that the page of documentation shows.
type openAPI struct {
	Info struct {
		Title       string `yaml:"title"`
		Description string `yaml:"description"`
	} `yaml:"info"`
	Tags []struct {
		Name        string `yaml:"name"`
		Description string `yaml:"description"`
	} `yaml:"tags"`
	Paths      yaml.Node `yaml:"paths"` // a node, to keep the order
	Components struct {
		Parameters map[string]parameterDoc `yaml:"parameters"`
		Schemas    yaml.Node               `yaml:"schemas"`
	} `yaml:"components"`
}

type operationDoc struct {
	Method, Path string
	Tags         []string       `yaml:"tags"`
	Summary      string         `yaml:"summary"`
	Description  string         `yaml:"description"`
	Parameters   []parameterDoc `yaml:"parameters"`
	Responses    map[string]struct {
		Ref         string `yaml:"$ref"`
		Description string `yaml:"description"`
		Content     map[string]struct {
			Schema struct {
				Ref string `yaml:"$ref"`
			} `yaml:"schema"`
		} `yaml:"content"`
	} `yaml:"responses"`
	Answers []answerDoc `yaml:"-"`
}

type parameterDoc struct {
	Ref         string    `yaml:"$ref"`
	Name        string    `yaml:"name"`
	In          string    `yaml:"in"`
	Description string    `yaml:"description"`
	Schema      schemaDoc `yaml:"schema"`
	Example     any       `yaml:"example"`
}

type schemaDoc struct {
	Ref         string      `yaml:"$ref"`
	Type        any         `yaml:"type"`
	Format      string      `yaml:"format"`
	Description string      `yaml:"description"`
	Enum        []string    `yaml:"enum"`
	Items       *schemaDoc  `yaml:"items"`
	OneOf       []schemaDoc `yaml:"oneOf"`
	Properties  yaml.Node   `yaml:"properties"`
	Required    []string    `yaml:"required"`
	Additional  any         `yaml:"additionalProperties"`
}

type answerDoc struct{ Status, Description, Schema string }

type fieldDoc struct{ Name, Type, Description string }

type schemaSection struct {
	Name, Description string
	Fields            []fieldDoc
}

type tagSection struct {
	Name, Description string
	Operations        []operationDoc
}

// readDocument renders the embedded openapi.yaml. The version is the binary's.
func readDocument(version string) (*document, error) {
	var generic map[string]any
	if err := yaml.Unmarshal(documentSource, &generic); err != nil {
		return nil, fmt.Errorf("dashboards: openapi.yaml: %w", err)
	}
	info, ok := generic["info"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("dashboards: openapi.yaml has no info")
	}
	if version != "" {
		info["version"] = version
	}
	d := &document{}
	var err error
	if d.json, err = json.Marshal(generic); err != nil {
		return nil, fmt.Errorf("dashboards: openapi.yaml: %w", err)
	}
	var doc openAPI
	if err := yaml.Unmarshal(documentSource, &doc); err != nil {
		return nil, fmt.Errorf("dashboards: openapi.yaml: %w", err)
	}
	tags, err := doc.sections()
	if err != nil {
		return nil, err
	}
	schemas, err := doc.schemas()
	if err != nil {
		return nil, err
	}
	page, err := template.New("docs").Funcs(template.FuncMap{"paragraphs": paragraphs}).Parse(docsTemplate)
	if err != nil {
		return nil, fmt.Errorf("dashboards: docs.html: %w", err)
	}
	var html bytes.Buffer
	if err := page.Execute(&html, map[string]any{"Info": doc.Info, "Version": version, "Tags": tags, "Schemas": schemas}); err != nil {
		return nil, fmt.Errorf("dashboards: docs.html: %w", err)
	}
	d.html = html.Bytes()
	return d, nil
}

func paragraphs(text string) []string {
	return strings.Split(strings.TrimSpace(text), "\n\n")
}

// pairs walks a YAML mapping in its order.
func pairs(node *yaml.Node, visit func(key string, value *yaml.Node) error) error {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if err := visit(node.Content[i].Value, node.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (d *openAPI) sections() ([]tagSection, error) {
	sections := make([]tagSection, len(d.Tags))
	for i, tag := range d.Tags {
		sections[i] = tagSection{Name: tag.Name, Description: tag.Description}
	}
	err := pairs(&d.Paths, func(path string, item *yaml.Node) error {
		return pairs(item, func(method string, node *yaml.Node) error {
			operation := operationDoc{Method: strings.ToUpper(method), Path: path}
			if err := node.Decode(&operation); err != nil {
				return fmt.Errorf("dashboards: openapi.yaml: %s %s: %w", method, path, err)
			}
			for i, p := range operation.Parameters {
				if name, ok := strings.CutPrefix(p.Ref, "#/components/parameters/"); ok {
					operation.Parameters[i] = d.Components.Parameters[name]
				}
			}
			for status, response := range operation.Responses {
				a := answerDoc{Status: status, Description: response.Description}
				if response.Ref != "" {
					a.Description, a.Schema = "what is wrong and what is allowed", "Problem"
				}
				if media, ok := response.Content["application/json"]; ok {
					a.Schema = strings.TrimPrefix(media.Schema.Ref, "#/components/schemas/")
				}
				operation.Answers = append(operation.Answers, a)
			}
			slices.SortFunc(operation.Answers, func(a, b answerDoc) int { return strings.Compare(a.Status, b.Status) })
			for i := range sections {
				if slices.Contains(operation.Tags, sections[i].Name) {
					sections[i].Operations = append(sections[i].Operations, operation)
				}
			}
			return nil
		})
	})
	return sections, err
}

func (d *openAPI) schemas() ([]schemaSection, error) {
	var sections []schemaSection
	err := pairs(&d.Components.Schemas, func(name string, node *yaml.Node) error {
		var schema schemaDoc
		if err := node.Decode(&schema); err != nil {
			return fmt.Errorf("dashboards: openapi.yaml: schema %s: %w", name, err)
		}
		section := schemaSection{Name: name, Description: schema.Description}
		err := pairs(&schema.Properties, func(property string, node *yaml.Node) error {
			var field schemaDoc
			if err := node.Decode(&field); err != nil {
				return fmt.Errorf("dashboards: openapi.yaml: schema %s.%s: %w", name, property, err)
			}
			section.Fields = append(section.Fields, fieldDoc{property, field.String(), field.Description})
			return nil
		})
		sections = append(sections, section)
		return err
	})
	return sections, err
}

// String is the type in one short phrase.
func (s *schemaDoc) String() string {
	switch {
	case s.Ref != "":
		return strings.TrimPrefix(s.Ref, "#/components/schemas/")
	case len(s.OneOf) > 0:
		parts := make([]string, len(s.OneOf))
		for i := range s.OneOf {
			parts[i] = s.OneOf[i].String()
		}
		return strings.Join(parts, " or ")
	case len(s.Enum) > 0:
		return strings.Join(s.Enum, " | ")
	}
	name := ""
	switch t := s.Type.(type) {
	case string:
		name = t
	case []any:
		parts := make([]string, len(t))
		for i, one := range t {
			parts[i] = fmt.Sprint(one)
		}
		name = strings.Join(parts, " or ")
	}
	if s.Items != nil {
		return "list of " + s.Items.String()
	}
	if s.Format != "" {
		name += " (" + s.Format + ")"
	}
	return name
}

// raw answers with bytes that stand until the definitions or the binary change.
func (s *server) raw(c *gin.Context, media string, body []byte) {
	hash := fnv.New64a()
	hash.Write(body) // never fails
	tag := fmt.Sprintf(`W/"%x"`, hash.Sum64())
	h := c.Writer.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache")
	if matches(c.Request.Header.Get("If-None-Match"), tag) {
		c.Writer.WriteHeader(http.StatusNotModified)
		return
	}
	c.Data(http.StatusOK, media, body)
}

func (s *server) getDocument(c *gin.Context) {
	s.rendered(c, "application/json", func(d *document) []byte { return d.json })
}

func (s *server) getDocs(c *gin.Context) {
	s.rendered(c, "text/html; charset=utf-8", func(d *document) []byte { return d.html })
}

func (s *server) getDocsStyle(c *gin.Context) { s.raw(c, "text/css; charset=utf-8", docsStyle) }

func (s *server) rendered(c *gin.Context, media string, form func(*document) []byte) {
	d, err := s.document()
	if err != nil {
		s.fail(c.Writer, c.Request, err)
		return
	}
	s.raw(c, media, form(d))
}
