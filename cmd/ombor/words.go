package main

import (
	"fmt"
	"time"

	"ombor/internal/reference"
)

// tongue is the language in which a command prints; English where it has no words.
type tongue string

// say is a text of ours in the language, its places filled as [fmt.Sprintf] does.
func (t tongue) say(english string, places ...any) string {
	said := english
	if words := terminal[english][string(t)]; words != "" {
		said = words
	}
	if len(places) == 0 {
		return said
	}
	return fmt.Sprintf(said, places...)
}

// row is a table's head.
func (t tongue) row(english ...string) []string {
	said := make([]string, len(english))
	for i, one := range english {
		said[i] = t.say(one)
	}
	return said
}

// moment is a day as the language writes it, with its time.
func (t tongue) moment(at time.Time) string {
	return reference.DayOf(at).In(string(t)) + at.Format(" 15:04 MST")
}

// terminal is what commands with --language print, by its English text.
var terminal = map[string]reference.Names{
	"id":              {"uz": "id", "ru": "id"},
	"kpi":             {"uz": "koʻrsatkich", "ru": "показатель"},
	"title":           {"uz": "nomi", "ru": "название"},
	"name":            {"uz": "nomi", "ru": "название"},
	"unit":            {"uz": "birlik", "ru": "единица"},
	"owner":           {"uz": "masʼul", "ru": "ответственный"},
	"period":          {"uz": "davr", "ru": "период"},
	"numerator":       {"uz": "surat", "ru": "числитель"},
	"denominator":     {"uz": "maxraj", "ru": "знаменатель"},
	"value":           {"uz": "qiymat", "ru": "значение"},
	"trend":           {"uz": "yoʻnalish", "ru": "ход"},
	"target":          {"uz": "maqsad", "ru": "цель"},
	"result":          {"uz": "natija", "ru": "результат"},
	"claim":           {"uz": "daʼvo", "ru": "утверждение"},
	"status":          {"uz": "holat", "ru": "состояние"},
	"missing":         {"uz": "yetishmaydi", "ru": "не хватает"},
	"kind":            {"uz": "turi", "ru": "вид"},
	"published":       {"uz": "eʼlon qilingan", "ru": "опубликовано"},
	"measured":        {"uz": "oʻlchangan", "ru": "измерено"},
	"verdict":         {"uz": "xulosa", "ru": "вывод"},
	"due":             {"uz": "muddat", "ru": "срок"},
	"wording":         {"uz": "matni", "ru": "формулировка"},
	"was":             {"uz": "edi", "ru": "было"},
	"now":             {"uz": "hozir", "ru": "стало"},
	"before":          {"uz": "oldin", "ru": "прежде"},
	"by":              {"uz": "farqi", "ru": "на сколько"},
	"change":          {"uz": "oʻzgarish", "ru": "изменение"},
	"severity":        {"uz": "darajasi", "ru": "важность"},
	"rule":            {"uz": "qoida", "ru": "правило"},
	"what":            {"uz": "nima", "ru": "что"},
	"type":            {"uz": "turi", "ru": "вид"},
	"source":          {"uz": "manba", "ru": "источник"},
	"fields":          {"uz": "maydonlar", "ru": "полей"},
	"field":           {"uz": "maydon", "ru": "поле"},
	"privacy":         {"uz": "maxfiylik", "ru": "доступ"},
	"read by":         {"uz": "kim oʻqiydi", "ru": "кто читает"},
	"to be mended by": {"uz": "kim tuzatadi", "ru": "кто исправит"},

	"percent":              {"uz": "foiz", "ru": "процент"},
	"count":                {"uz": "soni", "ru": "число"},
	"days":                 {"uz": "kun", "ru": "дн."},
	"hours":                {"uz": "soat", "ru": "ч"},
	"minutes":              {"uz": "daqiqa", "ru": "мин"},
	"seconds":              {"uz": "soniya", "ru": "с"},
	"ratio":                {"uz": "nisbat", "ru": "отношение"},
	"points":               {"uz": "foiz punkti", "ru": "п. п."},
	"milliseconds":         {"uz": "millisoniya", "ru": "мс"},
	"per_1000_inhabitants": {"uz": "1000 aholiga", "ru": "на 1000 жителей"},
	"ha":                   {"uz": "ga", "ru": "га"},
	"UZS":                  {"uz": "soʻm", "ru": "сум"},
	"max":                  {"uz": "eng koʻpi", "ru": "наиб."},

	"better":   {"uz": "yaxshilanmoqda", "ru": "лучше"},
	"worse":    {"uz": "yomonlashmoqda", "ru": "хуже"},
	"steady":   {"uz": "oʻzgarmagan", "ru": "без изменений"},
	"error":    {"uz": "xato", "ru": "ошибка"},
	"notice":   {"uz": "eslatma", "ru": "замечание"},
	"warning":  {"uz": "ogohlantirish", "ru": "предупреждение"},
	"internal": {"uz": "ichki", "ru": "внутреннее"},
	"open":     {"uz": "ochiq", "ru": "открытое"},
	"personal": {"uz": "shaxsiy", "ru": "личное"},
	"special":  {"uz": "alohida", "ru": "особое"},
	"required": {"uz": "majburiy", "ru": "обязательно"},

	"borne out":     {"uz": "tasdiqlandi", "ru": "подтверждается"},
	"not borne out": {"uz": "tasdiqlanmadi", "ru": "не подтверждается"},
	"no figure":     {"uz": "koʻrsatkich yoʻq", "ru": "нет показателя"},
	"reached":       {"uz": "erishildi", "ru": "достигнуто"},
	"not reached":   {"uz": "hali erishilmagan", "ru": "не достигнуто"},
	"missed":        {"uz": "muddatida erishilmadi", "ru": "не достигнуто в срок"},
	"on course":     {"uz": "reja boʻyicha", "ru": "по плану"},
	"at risk":       {"uz": "xavf ostida", "ru": "под угрозой"},
	"off course":    {"uz": "rejadan ortda", "ru": "отстаёт"},
	"not to be told by a simulation at this scale": {"uz": "bu hajmdagi modellashtirishdan bilib boʻlmaydi", "ru": "по моделированию в этом масштабе не сказать"},
	"not to be told by a number":                   {"uz": "raqam bilan aytib boʻlmaydi", "ru": "числом не сказать"},
	"%d %s":                                        {"uz": "%[2]s: %[1]d", "ru": "%[2]s: %[1]d"},
	"yes or no":                                    {"uz": "ha yoki yoʻq", "ru": "да или нет"},
	"≥ %s":                                         {"uz": "≥ %s", "ru": "≥ %s"},
	"≤ %s":                                         {"uz": "≤ %s", "ru": "≤ %s"},
	"about %s":                                     {"uz": "taxminan %s", "ru": "около %s"},
	"up to %s":                                     {"uz": "%s gacha", "ru": "до %s"},
	"%s":                                           {"uz": "%s", "ru": "%s"},

	"no cases":                 {"uz": "holatlar yoʻq", "ru": "случаев нет"},
	"does not apply":           {"uz": "taalluqli emas", "ru": "не применимо"},
	"not kept any longer":      {"uz": "endi saqlanmaydi", "ru": "больше не хранится"},
	"no report received":       {"uz": "maʼlumot kelmagan", "ru": "данных не поступало"},
	"hidden to protect people": {"uz": "odamlarni himoya qilish uchun yashirilgan", "ru": "скрыто, чтобы защитить людей"},
	"(not told)":               {"uz": "(aytilmagan)", "ru": "(не указано)"},
	"not stated":               {"uz": "koʻrsatilmagan", "ru": "не указан"},
	"still arriving":           {"uz": "maʼlumot hali kelmoqda", "ru": "данные ещё поступают"},
	"not closed by %s":         {"uz": "yopmaganlar: %s", "ru": "не закрыли: %s"},
	"corrected %s, was %s":     {"uz": "%s kuni tuzatilgan, %s edi", "ru": "исправлено %s, было %s"},
	"since %s":                 {"uz": "%s ga nisbatan", "ru": "к %s"},
	"against the whole":        {"uz": "umumiyga nisbatan", "ru": "к целому"},
	"target %s: %s":            {"uz": "maqsad %s: %s", "ru": "цель %s: %s"},
	"target: %s":               {"uz": "maqsad: %s", "ru": "цель: %s"},
	"possible: %s":             {"uz": "mumkin: %s", "ru": "возможны: %s"},

	"%s to %s": {"uz": "%s – %s", "ru": "%s – %s"},
	"SIMULATED: these figures come from a simulation, not from a government.":         {"uz": "MODELLASHTIRILGAN: bu raqamlar davlatniki emas, modellashtirish natijasi.", "ru": "СМОДЕЛИРОВАНО: эти цифры — из моделирования, а не от государства."},
	"SIMULATED: some of these figures come from a simulation, not from a government.": {"uz": "MODELLASHTIRILGAN: bu raqamlarning bir qismi davlatniki emas, modellashtirish natijasi.", "ru": "СМОДЕЛИРОВАНО: часть этих цифр — из моделирования, а не от государства."},
	"Data through %s.":                         {"uz": "Maʼlumotlar %s holatiga.", "ru": "Данные по %s."},
	"Coverage: %s.":                            {"uz": "Qamrov: %s.", "ru": "Охват: %s."},
	"Read from %s (%s rows): %s\n%s":           {"uz": "Oʻqilgan jadval: %s (%s qator): %s\n%s", "ru": "Прочитано из %s (строк: %s): %s\n%s"},
	"Scorecard: nothing has been received yet": {"uz": "Barcha koʻrsatkichlar: hali hech narsa kelmagan", "ru": "Все показатели: пока ничего не получено"},
	"Scorecard, %s to %s":                      {"uz": "Barcha koʻrsatkichlar, %s – %s", "ru": "Все показатели, %s – %s"},
	"Targets: %s.":                             {"uz": "Maqsadlar: %s.", "ru": "Цели: %s."},
	"Published, as of %s":                      {"uz": "Eʼlon qilinganlar, %s holatiga", "ru": "Опубликованное, на %s"},
	"%d targets are served by no project.":     {"uz": "Hech bir loyiha xizmat qilmaydigan maqsadlar: %d.", "ru": "Целей, на которые не работает ни один проект: %d."},
	"Changed since %s, against what was known at the end of %s": {"uz": "%s dan beri oʻzgarganlar, %s oxirida maʼlum boʻlganga nisbatan", "ru": "Изменилось с %s, против известного на конец %s"},
	"%d ended months changed (%d rows taken back, %d late)":     {"uz": "tugagan oylardan oʻzgargani: %d (qaytarilgan qatorlar: %d, kechikkan: %d)", "ru": "изменилось завершённых месяцев: %d (снято строк: %d, опоздавших: %d)"},
	"%d KPIs are what they were.":                               {"uz": "Oʻzgarmagan koʻrsatkichlar: %d.", "ru": "Показателей без изменений: %d."},
	"not known whether it counts":                               {"uz": "hisobga kirishi nomaʼlum", "ru": "неизвестно, засчитывается ли"},
	"%d of %d; --limit shows more.":                             {"uz": "%[2]d tadan %[1]d tasi; --limit koʻprogʻini koʻrsatadi.", "ru": "%d из %d; --limit покажет больше."},
	"%s against %s":                                             {"uz": "%s, %s ga nisbatan", "ru": "%s против %s"},
	"no longer":                                                 {"uz": "endi yoʻq", "ru": "больше нет"},
	"new":                                                       {"uz": "yangi", "ru": "новое"},
	"all others":                                                {"uz": "qolgan hammasi", "ru": "все остальные"},
	"In all":                                                    {"uz": "Jami", "ru": "Всего"},
	"Like for like":                                             {"uz": "Taqqoslanadiganlari", "ru": "На сопоставимой основе"},
	"%d in both periods":                                        {"uz": "ikkala davrda ham: %d", "ru": "в обоих периодах: %d"},
	"Nothing was found.":                                        {"uz": "Hech narsa topilmadi.", "ru": "Ничего не найдено."},

	"rule %s: %s": {"uz": "qoida %s: %s", "ru": "правило %s: %s"},
	"kept: warehouse %s, lake %s; sent by %s, %s": {"uz": "saqlanadi: ombor — %s, koʻl — %s; yuboruvchi: %s, %s", "ru": "хранится: хранилище — %s, озеро — %s; отправляет %s, %s"},
	"warehouse %s, lake %s":                       {"uz": "ombor — %s, koʻl — %s", "ru": "хранилище — %s, озеро — %s"},
	"Sent by %s. Kept: %s.":                       {"uz": "Yuboruvchi: %s. Saqlanadi: %s.", "ru": "Отправляет: %s. Хранится: %s."},
	"%s and %d more":                              {"uz": "%s va yana %d ta", "ru": "%s и ещё %d"},
	"for ever":                                    {"uz": "muddatsiz", "ru": "бессрочно"},
	"%d years":                                    {"uz": "%d yil", "ru": "лет: %d"},
	"%d months":                                   {"uz": "%d oy", "ru": "месяцев: %d"},

	"loading":                    {"uz": "yuklanmoqda", "ru": "загрузка"},
	"into warehouse and lake":    {"uz": "omborga va koʻlga", "ru": "в хранилище и озеро"},
	"events":                     {"uz": "hodisa", "ru": "событий"},
	"files":                      {"uz": "fayllar", "ru": "файлы"},
	"%s rows":                    {"uz": "%s qator", "ru": "строк: %s"},
	"broken off, ":               {"uz": "uzilib qoldi, ", "ru": "прервано, "},
	"%s (waiting %s)":            {"uz": "%s (kutilmoqda: %s)", "ru": "%s (ждём %s)"},
	", held as %s":               {"uz": ", chetga olindi: %s", "ru": ", отложено: %s"},
	", would be held":            {"uz": ", chetga olinar edi", "ru": ", было бы отложено"},
	"and %s more; all are in %s": {"uz": "va yana %s ta; hammasi shu yerda: %s", "ru": "и ещё %s; все — в %s"},
	"and %s more; --refusals FILE keeps them all":                                                                         {"uz": "va yana %s ta; --refusals FAYL hammasini saqlaydi", "ru": "и ещё %s; --refusals ФАЙЛ сохранит все"},
	"%s: goes on where an earlier load was broken off":                                                                    {"uz": "%s: avvalgi yuklash uzilgan joydan davom etadi", "ru": "%s: продолжается с того места, где прежняя загрузка прервалась"},
	"%d of %d files were not loaded to their end":                                                                         {"uz": "%[2]d fayldan %[1]d tasi oxirigacha yuklanmadi", "ru": "до конца не загружено файлов: %d из %d"},
	"some of it would be refused or kept aside":                                                                           {"uz": "bir qismi rad etilar yoki chetga olinar edi", "ru": "часть была бы отвергнута или отложена"},
	"accepted %s, duplicate %s, rejected %s, conflict %s, held %s, withdrawn %s":                                          {"uz": "qabul qilindi %s, takror %s, rad etildi %s, ziddiyat %s, chetga olindi %s, qaytarib olindi %s", "ru": "принято %s, повторов %s, отвергнуто %s, в противоречии %s, отложено %s, отозвано %s"},
	"dry run: accepted %s, rejected %s, held %s; nothing was stored":                                                      {"uz": "sinov: qabul qilinar edi %s, rad etilar edi %s, chetga olinar edi %s; hech narsa saqlanmadi", "ru": "проба: было бы принято %s, отвергнуто %s, отложено %s; ничего не сохранено"},
	"partly refused: %s rejected, %s in conflict, %s held for a reference or a rule":                                      {"uz": "qisman rad etildi: rad etilgan %s, ziddiyatda %s, kod yoki qoida tufayli chetda %s", "ru": "принято не всё: отвергнуто %s, в противоречии %s, отложено из-за кода или правила %s"},
	"%s of %s from %s were not taken, so what is gone from its days is not withdrawn; mend them and load the files again": {"uz": "%s olinmadi (%s, manba %s), shu sababli kunlaridan yoʻqolganlar qaytarib olinmaydi; tuzatib, fayllarni qayta yuklang", "ru": "не принято: %s (%s, источник %s), поэтому пропавшее из этих дней не отзывается; исправьте и загрузите файлы снова"},
	"%s held: kept aside, in no figure. All of them: 'ombor quarantine list%[2]s'. Put one right: 'ombor quarantine fix ID --set FIELD=VALUE%[2]s', then send it on: 'ombor quarantine replay ID%[2]s'. What was held for an unknown code goes on by itself when the server is started with a table that has it.": {
		"uz": "%s ta hodisa chetga olindi va hech bir raqamga kirmaydi. Hammasi: 'ombor quarantine list%[2]s'. Tuzatish: 'ombor quarantine fix ID --set MAYDON=QIYMAT%[2]s', keyin yuborish: 'ombor quarantine replay ID%[2]s'. Nomaʼlum kod tufayli chetga olingani server shu kodi bor jadval bilan ishga tushganda oʻzi oʻtadi.",
		"ru": "Отложено событий: %s; они не входят ни в один показатель. Все: 'ombor quarantine list%[2]s'. Исправить: 'ombor quarantine fix ID --set ПОЛЕ=ЗНАЧЕНИЕ%[2]s', затем отправить: 'ombor quarantine replay ID%[2]s'. Отложенное из-за неизвестного кода пройдёт само, когда сервер запустят с таблицей, где он есть."},
	"%s in conflict: known ids with other content; the first one counts. All of them: 'ombor quarantine list --code conflict%[2]s'. One that is right is sent on with 'ombor quarantine replay ID --as-correction%[2]s'.": {
		"uz": "Ziddiyatda %s ta: maʼlum id ostida boshqa mazmun; birinchisi hisoblanadi. Hammasi: 'ombor quarantine list --code conflict%[2]s'. Toʻgʻrisini yuborish: 'ombor quarantine replay ID --as-correction%[2]s'.",
		"ru": "В противоречии: %s — известные id с другим содержанием; считается первое. Все: 'ombor quarantine list --code conflict%[2]s'. Верное отправляет 'ombor quarantine replay ID --as-correction%[2]s'."},

	"accepted":      {"uz": "qabul qilingan", "ru": "принято"},
	"duplicate":     {"uz": "takror", "ru": "повторов"},
	"conflict":      {"uz": "ziddiyat", "ru": "в противоречии"},
	"rejected":      {"uz": "rad etilgan", "ru": "отвергнуто"},
	"damaged":       {"uz": "shikastlangan", "ru": "повреждено"},
	"in quarantine": {"uz": "karantinda", "ru": "в карантине"},
	"replayed":      {"uz": "qayta yuborilgan", "ru": "отправлено"},
	"dismissed":     {"uz": "yopilgan", "ru": "закрыто"},
	"last event":    {"uz": "oxirgi hodisa", "ru": "последнее событие"},
	"(not known)":   {"uz": "(nomaʼlum)", "ru": "(неизвестно)"},
	"none":          {"uz": "yoʻq", "ru": "нет"},
	"late":          {"uz": "kechikmoqda", "ru": "опаздывает"},
	"Nothing came of %d other expected event types.": {"uz": "Kutilgan yana %d tur boʻyicha hech narsa kelmagan.", "ru": "Ничего не пришло по ожидаемым видам событий: %d."},

	"bad_json":          {"uz": "Hodisa JSON obyekti emas.", "ru": "Событие не является объектом JSON."},
	"invalid_utf8":      {"uz": "UTF-8 boʻlmagan baytlar bor.", "ru": "Есть байты не в UTF-8."},
	"nul_byte":          {"uz": "U+0000 belgisi bor.", "ru": "Есть символ U+0000."},
	"duplicate_key":     {"uz": "Bir obyektda bitta nom ikki marta uchraydi.", "ru": "Одно имя встречается в объекте дважды."},
	"too_long":          {"uz": "Hodisa yoki undagi qiymat juda uzun.", "ru": "Событие или значение в нём слишком длинное."},
	"too_deep":          {"uz": "Obyekt va roʻyxatlar juda chuqur joylashgan.", "ru": "Объекты и списки вложены слишком глубоко."},
	"unknown_type":      {"uz": "Bu tur uchun kontrakt yoʻq.", "ru": "Для этого типа нет контракта."},
	"unknown_field":     {"uz": "Kontraktda bunday maydon yoʻq.", "ru": "В контракте нет такого поля."},
	"missing_field":     {"uz": "Majburiy qiymat berilmagan.", "ru": "Обязательное значение отсутствует."},
	"wrong_type":        {"uz": "Qiymat turi kontraktdagidan boshqa.", "ru": "Значение другого вида, чем требует контракт."},
	"bad_time":          {"uz": "Vaqt mintaqasi koʻrsatilgan vaqt ham, kun ham emas.", "ru": "Это не время со смещением и не день."},
	"out_of_range":      {"uz": "Son yoki vaqt saqlash mumkin boʻlgan chegaradan tashqarida.", "ru": "Число или время вне пределов хранения."},
	"not_in_enum":       {"uz": "Qiymat ruxsat etilganlardan biri emas.", "ru": "Такое значение не разрешено."},
	"bad_identifier":    {"uz": "Shaxs identifikatori oʻz turiga mos shaklda emas.", "ru": "Это не похоже на идентификатор человека своего вида."},
	"personal_value":    {"uz": "Shaxs identifikatori ochiq saqlanadigan qiymatda turibdi.", "ru": "Идентификатор человека стоит в значении, которое хранится как есть."},
	"rule_broken":       {"uz": "Kontrakt qoidasi bajarilmagan.", "ru": "Нарушено правило контракта."},
	"unknown_reference": {"uz": "Jadvalda bunday kod ham, nom ham, boshqa yozilish ham yoʻq.", "ru": "В таблице этого нет: ни как кода, ни как названия, ни в другом написании."},
	"not_yours":         {"uz": "Yuboruvchining kaliti buni yuborishga ruxsat bermaydi.", "ru": "Ключ отправителя не даёт этого отправлять."},
	"quarantine_full":   {"uz": "Chetga olinishi kerak edi, lekin joy yoʻq; keyinroq qayta yuboring.", "ru": "Событие было бы отложено, но места нет; отправьте позже."},
	"ragged":            {"uz": "Katakchalar soni ustunlar soniga teng emas.", "ru": "Ячеек больше или меньше, чем столбцов."},
	"unclosed_quote":    {"uz": "Ochilgan qoʻshtirnoq yopilmagan.", "ru": "Открытая кавычка не закрыта."},
	"no_match":          {"uz": "Satr moslama ifodasiga mos emas.", "ru": "Строка не подходит под выражение сопоставления."},
	"unmapped":          {"uz": "Moslamada bu katakcha uchun qiymat yoʻq.", "ru": "В сопоставлении нет значения для этой ячейки."},
	"not_computed":      {"uz": "Ifoda bu qator uchun qiymat bermadi.", "ru": "Выражение не дало значения для этой строки."},
	"not_found":         {"uz": "Boshqa faylda mos qator topilmadi.", "ru": "В другом файле нет подходящей строки."},
}
