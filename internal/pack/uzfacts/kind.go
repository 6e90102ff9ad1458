package main

import (
	"regexp"
	"strings"

	"ombor/internal/reference"
)

// kinds are the rules that give a service its kind, from the words of its Uzbek
// title in lower case. The first rule that holds decides; none is "other". A rule
// that ends in $ reads the end of the title, where Uzbek puts the verb: a title that
// ends in "tekshirish" (to check) is a look-up, whatever it checks.
//
// A certificate here is a paper that states what a register holds: maʻlumotnoma
// (reference), koʻchirma (extract), dublikat, transkript. Certificates of
// qualification are licences, because they permit an occupation.
var kinds = []struct {
	kind string
	rule *regexp.Regexp
}{
	{"appointment", regexp.MustCompile(`qabuliga yozilish|navbatga yozilish|elektron navbat|emlashga yozilish|inspektorni chaqirish`)},
	{"certificate", regexp.MustCompile(`maʻlumotnoma(?:si|ni|sini|lari|larni|larini)?(?: |$)|koʻchirma$|dublikat|transkript|takroriy guvohnoma|tugʻilganlik haqidagi guvohnoma|tibbiy hujjat|tasdiqnoma|arxiv hujjatlarini berish`)},
	{"information", regexp.MustCompile(`(?:tekshirish|tanishish|koʻrish|kalkulyatori?|natijalari|tarixi|tarixini olish|rekvizitlari|reytingi|taqvimi|jadvali|nomogrammasi|roʻyxati|reestri|reyestri|reyestrlari|tasniflagichi|narxlari|miqdori|ballari|maʻlumoti?|maʻlumotini olish|maʻlumotlari|maʻlumotlarini olish|maʻlumot olish|maʻlumot berish|maʻlumotni olish|axboroti|hisobvaraqlari|hisob raqamlari|laboratoriyalari|stir aniqlash|saylov uchastkasini aniqlash)$|soʻrovlar|statistika`)},
	{"payment", regexp.MustCompile(`toʻlash$|toʻlanishi$|^jarimalar$|solishtiruv dalolatnomalari|^kommunal xizmatlar$|soligʻi$`)},
	{"benefit", regexp.MustCompile(`subsidiya|nafaqa|pensiya|kompensatsiya|qoplash|qoplama|qoplab|stipendiya|imtiyoz|yoʻllanma|moddiy yordam|ssuda|vaucher|keshbek|ijtimoiy karta|ijtimoiy reyestrga|taʻlim kreditini|nogironlikni belgilash`)},
	{"licence", regexp.MustCompile(`litsenziya|lisenziya|sertifikat|attestat|attestas|akkredit|malaka|haydovchilik guvohnoma|mashinist guvohnoma|ovchilik guvohnoma|toifa`)},
	{"permit", regexp.MustCompile(`ruxsat|kelishish|kelishib|xulosa|texnik shart|rozilik|xabarnoma|faoliyat|apostil|viza`)},
	{"registration", regexp.MustCompile(`roʻyxat|roʻyhat|hisobga|hisobdan|reyestr|reestr|patent|guvohnoma|kadastr|nikohni qayd|biznesni`)},
}

// Kind is the kind of a service with this title, as spelled by [spelling].
func Kind(title string) string {
	folded := reference.Fold(title)
	if i := strings.LastIndex(folded, " ("); i > 0 && strings.HasSuffix(folded, ")") {
		folded = folded[:i] // a remark in brackets does not hide the verb
	}
	for _, k := range kinds {
		if k.rule.MatchString(folded) {
			return k.kind
		}
	}
	return "other"
}
