// Renders chats with a template as Ollama 0.30 does. Standard input is JSON: a list of
// {"template": …, "chats": [{"messages": […], "tools": […], "think": …}]}; standard output is a
// list of lists of texts. The shapes of the values and the two functions follow Ollama's API.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/template"
	"time"
)

type arguments map[string]any

type call struct {
	ID       string `json:"id"`
	Function struct {
		Index     int
		Name      string    `json:"name"`
		Arguments arguments `json:"arguments"`
	} `json:"function"`
}

type message struct {
	Role       string `json:"role"`
	Content    string `json:"content"`
	Thinking   string `json:"thinking"`
	ToolCalls  []call `json:"tool_calls"`
	ToolName   string `json:"tool_name"`
	ToolCallID string `json:"tool_call_id"`
}

type propertyType []string

func (t *propertyType) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = propertyType{one}
		return nil
	}
	var several []string
	err := json.Unmarshal(data, &several)
	*t = several
	return err
}

func (t propertyType) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

type property struct {
	AnyOf       []property     `json:"anyOf,omitempty"`
	Type        propertyType   `json:"type,omitempty"`
	Items       any            `json:"items,omitempty"`
	Description string         `json:"description,omitempty"`
	Enum        []any          `json:"enum,omitempty"`
	Properties  map[string]any `json:"properties,omitempty"`
	Required    []string       `json:"required,omitempty"`
}

type tool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Parameters  struct {
			Type       string              `json:"type"`
			Required   []string            `json:"required,omitempty"`
			Properties map[string]property `json:"properties"`
		} `json:"parameters"`
	} `json:"function"`
}

type chat struct {
	Messages []*message `json:"messages"`
	Tools    []tool     `json:"tools"`
	Think    *bool      `json:"think"`
}

var functions = template.FuncMap{
	"json": func(value any) string {
		text, _ := json.Marshal(value)
		return string(text)
	},
	"currentDate": func(...string) string { return time.Now().Format("2006-01-02") },
}

// All system texts, and the messages with neighbours of one role joined.
func collated(messages []*message) (string, []*message) {
	var system []string
	var joined []*message
	for _, m := range messages {
		if m.Role == "system" {
			system = append(system, m.Content)
		}
		if n := len(joined); n > 0 && m.Role != "tool" && joined[n-1].Role == m.Role {
			joined[n-1].Content += "\n\n" + m.Content
		} else {
			joined = append(joined, m)
		}
	}
	return strings.Join(system, "\n\n"), joined
}

func rendered(parsed *template.Template, c chat) (string, error) {
	system, messages := collated(c.Messages)
	var text strings.Builder
	err := parsed.Execute(&text, map[string]any{
		"System":     system,
		"Messages":   messages,
		"Tools":      c.Tools,
		"Response":   "",
		"Think":      c.Think != nil && *c.Think,
		"ThinkLevel": "",
		"IsThinkSet": c.Think != nil,
	})
	return text.String(), err
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	var jobs []struct {
		Template string `json:"template"`
		Chats    []chat `json:"chats"`
	}
	fail(json.NewDecoder(os.Stdin).Decode(&jobs))
	texts := [][]string{}
	for _, job := range jobs {
		parsed, err := template.New("").Option("missingkey=zero").Funcs(functions).Parse(job.Template)
		fail(err)
		written := []string{}
		for _, c := range job.Chats {
			text, err := rendered(parsed, c)
			fail(err)
			written = append(written, text)
		}
		texts = append(texts, written)
	}
	fail(json.NewEncoder(os.Stdout).Encode(texts))
}
