// Command ombor is the whole of Ombor in one binary: the server with everything
// embedded, and the commands that talk to it.
//
// The commands only parse flags, wire rooms together and print. Each is one file
// here, named after the command. Exit codes: 0 done, 1 failed, 2 usage, 3 partly
// refused (the details are printed).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"ombor/internal/problem"
	"ombor/warehouse/engine"
)

// version is set by the release build.
var version = "dev"

func main() {
	engine.RunChildIfAsked() // does not return when this process is the engine
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	ran, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		fmt.Fprintln(stderr, "stopped")
		return 1
	}
	var partly *partlyRefused
	if errors.As(err, &partly) {
		fmt.Fprintln(stderr, partly.Error())
		return 3
	}
	fmt.Fprintln(stderr, "ombor:", explain(err, languageOf(ran)))
	if isUsage(err) {
		return 2
	}
	var failed *notLoaded
	if errors.As(err, &failed) {
		return 1
	}
	return problem.KindOf(err).ExitCode()
}

// explain is what a person at the terminal reads: the message, and the cause,
// because the person at the terminal is the operator. In another language than English it is the
// fault's own sentence there and what is possible instead; the English one, which has all, stands below.
func explain(err error, language string) string {
	english := strings.TrimSpace(err.Error())
	var p *problem.Error
	if !errors.As(err, &p) || p.Words[language] == "" {
		return english
	}
	told := p.Words[language]
	if len(p.Allowed) > 0 && len(p.Allowed) <= 40 {
		told += "\n" + tongue(language).say("possible: %s", strings.Join(p.Allowed, ", "))
	}
	if language != "en" {
		told += "\n(" + english + ")"
	}
	return told
}

// languageOf is what a command was told to speak; "" when it has no such choice.
func languageOf(c *cobra.Command) string {
	language, _ := c.Flags().GetString("language")
	return language
}

// partlyRefused ends a command that did its work but had some of it refused.
type partlyRefused struct{ what string }

func (e *partlyRefused) Error() string { return e.what }

// usage marks an error of the command line itself.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

func isUsage(err error) bool {
	var u usage
	return errors.As(err, &u) || strings.HasPrefix(err.Error(), "unknown command") ||
		strings.HasPrefix(err.Error(), "unknown flag") || strings.HasPrefix(err.Error(), "unknown shorthand")
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "ombor",
		Short: "A government data platform: events in, KPIs out",
		Long: `Ombor takes the events of a digital government (requests, decisions, sessions,
reported figures), keeps each exactly once in ClickHouse and in Parquet, and serves
KPIs whose definition, date and coverage stand beside every number.

A first look, on one machine, with nothing else installed:

  ombor demo                                    a simulated year, the page at http://127.0.0.1:8080
  ombor serve --data ./data                     an empty store for your own events
  ombor load cases.csv.gz                       stream a file to the running server
  ombor kpi                                     the catalogue
  ombor kpi online-processing-share --grain month --by region

Exit codes: 0 done, 1 failed, 2 usage, 3 partly refused (details are printed).`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage{fmt.Errorf("%w\nSee '%s --help'", err, c.CommandPath())}
	})
	root.PersistentFlags().String("log", "warn", "what the log says: debug, info, warn or error")
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		name, _ := c.Flags().GetString("log")
		var level slog.Level
		if err := level.UnmarshalText([]byte(name)); err != nil {
			return usage{fmt.Errorf("--log %q: want debug, info, warn or error", name)}
		}
		slog.SetDefault(slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level})))
		return nil
	}
	root.AddCommand(
		newServe(), newDemo(), newLoad(), newKPI(), newProjects(), newScorecard(), newTargets(), newChanges(), newSQL(), newWarehouse(), newStatus(), newQuality(), newQuarantine(),
		newVerify(), newCompact(), newRetain(), newErase(), newRebuild(), newBackup(), newRestore(),
		newKey(), newPseudonyms(), newSignIn(), newAudit(),
		newSimulate(), newPack(), newContract(), newDoctor(), newEngine(),
	)
	return root
}

// args turns cobra's complaint about arguments into a usage error with an example.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if err := check(c, given); err != nil {
			return usage{fmt.Errorf("%w\nUsage: %s", err, c.UseLine())}
		}
		return nil
	}
}
