package workbench

import (
	"fmt"
	"strings"

	"ombor/internal/reference"
)

// Words says in the three languages what a statement would read.
func Words(tables []Reading) reference.Names {
	var rows, bytes uint64
	for _, t := range tables {
		rows, bytes = rows+t.Rows, bytes+t.Bytes
	}
	if rows == 0 {
		return reference.Names{
			"uz": "Saqlangan jadvallardan hech narsa oʻqilmaydi.",
			"ru": "Из хранимых таблиц ничего не будет прочитано.",
			"en": "Nothing of the stored tables will be read.",
		}
	}
	return reference.Names{
		"uz": fmt.Sprintf("Koʻpi bilan %s qator oʻqiladi, diskda taxminan %s (jadvallar: %d).", about(rows, ",", "ming", "mln", "mlrd"), size(bytes, ",", "bayt", "KB", "MB", "GB", "TB"), len(tables)),
		"ru": fmt.Sprintf("Будет прочитано не более %s строк, на диске около %s (таблиц: %d).", about(rows, ",", "тыс.", "млн", "млрд"), size(bytes, ",", "байт", "КБ", "МБ", "ГБ", "ТБ"), len(tables)),
		"en": fmt.Sprintf("Up to %s rows will be read, about %s on disk (tables: %d).", about(rows, ".", "thousand", "million", "billion"), size(bytes, ".", "bytes", "KB", "MB", "GB", "TB"), len(tables)),
	}
}

// about is a count with two digits, a decimal mark and a word for each power of a thousand.
func about(n uint64, mark string, words ...string) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	v, word := float64(n)/1000, 0
	for v >= 999.5 && word < len(words)-1 {
		v, word = v/1000, word+1
	}
	return strings.Replace(short(v), ".", mark, 1) + " " + words[word]
}

// size is a number of bytes; 1 KB is 1,000.
func size(n uint64, mark string, words ...string) string {
	if n < 1000 {
		return fmt.Sprintf("%d %s", n, words[0])
	}
	return about(n, mark, words[1:]...)
}

// short has two digits, or all of the whole part.
func short(v float64) string {
	if v >= 9.95 {
		return fmt.Sprintf("%.0f", v)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
}
