package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ombor/queries/governed"
)

func newWarehouse() *cobra.Command {
	c := &cobra.Command{Use: "warehouse", Short: "What a ClickHouse server needs that is used as --warehouse"}
	users := &cobra.Command{
		Use:   "users",
		Short: "Print the SQL that makes the users of a ClickHouse server behind Ombor",
		Long: `Prints the SQL with which the administrator of a ClickHouse server makes its users: the writer
of --warehouse, a reader for servers that have the role api alone, and the user of
--sql-warehouse as whom analysts' statements run, with limits, quota and no right but to read the
analysts' database. Limits other than the defaults are given as to 'ombor serve'. Each run
prints new passwords: keep what you ran.`,
		Example: `  ombor warehouse users > users.sql && clickhouse-client --host warehouse.example.uz --multiquery < users.sql`,
		Args:    args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			asked, err := readSQLLimits(c.Flags())
			if err != nil {
				return err
			}
			limits, err := asked.limits()
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.OutOrStdout(), governed.Users("", limits))
			return err
		},
	}
	sqlLimitFlags(users.Flags())
	c.AddCommand(users)
	return c
}
