package contract

import (
	"strconv"
	"strings"
)

func tableName(name string, major int) string {
	return strings.ReplaceAll(name, ".", "_") + "_v" + strconv.Itoa(major)
}
