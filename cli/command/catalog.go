package command

import (
	"bytes"
	"fmt"

	"buf.build/go/protoyaml"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/blackdice/shipwarden/cli/backstage"
	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
)

func newCatalog(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "catalog",
		Short:   "Take the catalog of services over from elsewhere",
		Long:    "Services, targets, teams and people of a procedure document, made from what is there already.",
		Example: "  shipwarden catalog import -f catalog-info.yaml",
		Args:    cobra.NoArgs,
	}
	cmd.AddCommand(newCatalogImport(a))
	return cmd
}

func newCatalogImport(a *app) *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use:   "import -f FILE...",
		Short: "Print people, groups, services and targets from Backstage's catalog-info.yaml",
		Long: "Reads the entities of a Backstage catalog and prints sections of a procedure document:\n" +
			"people, groups, services, targets and customer_contacts. Components become services with\n" +
			"their owner and dependencies, shipwarden/tier their tier; resources with the annotation\n" +
			"shipwarden/environment become targets (with shipwarden/driver, shipwarden/kinds, and\n" +
			"shipwarden/customers for whom they serve) of what depends on them. Everything that is wrong\n" +
			"is told with its line, and then nothing is printed; what is left out is told with its line\n" +
			"and why, and the last line counts what was taken over.",
		Example: "  shipwarden catalog import -f catalog-info.yaml -f org.yaml > catalog.yaml",
		Args:    cobra.NoArgs,
		RunE: a.run(func(*cobra.Command, []string) error {
			var all []backstage.File
			for _, file := range files {
				data, name, err := a.readFile(file)
				if err != nil {
					return exit.Withf(exit.Usage, "%w", err)
				}
				all = append(all, backstage.File{Name: name, Data: data})
			}
			document, notes, err := backstage.Import(all...)
			if err != nil {
				for _, line := range terminal.Lines(err.Error()) {
					a.say("%s", line)
				}
				return exit.Silently(exit.Failed)
			}
			for _, note := range notes {
				for _, line := range terminal.Lines(note) {
					a.say("%s", line)
				}
			}
			raw, err := protoyaml.MarshalOptions{UseProtoNames: true, Indent: 2}.Marshal(document)
			if err != nil {
				return fmt.Errorf("write the catalog: %w", err)
			}
			return a.sections(raw, "people", "groups", "services", "targets", "customer_contacts")
		}),
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "file with entities, or - for the standard input; may be given more than once")
	_ = cmd.MarkFlagRequired("file")
	return cmd
}

// sections prints the named fields of a YAML document in that order.
func (a *app) sections(raw []byte, names ...string) error {
	var root yaml.Node
	if err := yaml.Unmarshal(raw, &root); err != nil {
		return fmt.Errorf("write the catalog: %w", err)
	}
	if len(root.Content) == 0 {
		return nil
	}
	fields := root.Content[0].Content
	for _, name := range names {
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i].Value != name {
				continue
			}
			var out bytes.Buffer
			encoder := yaml.NewEncoder(&out)
			encoder.SetIndent(2)
			if err := encoder.Encode(&yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Content: fields[i : i+2]}); err != nil {
				return fmt.Errorf("write the catalog: %w", err)
			}
			if _, err := a.out.Write(out.Bytes()); err != nil {
				return err
			}
		}
	}
	return nil
}
