package workbench

import (
	"fmt"
	"slices"
	"strings"

	"ombor/internal/protocol"
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

// faults say in the three languages what to do about an exception of the engine or of the door, by
// its codes (src/Common/ErrorCodes.cpp). Its own text, which is English, stands below.
var faults = []struct {
	codes []int
	said  reference.Names
}{
	{[]int{8, 10, 16, 47}, reference.Names{
		"uz": "Bunday ustun yoki nom yoʻq: nomini roʻyxatdagi ustunlar bilan solishtiring; matn qiymatlari 'bitta qoʻshtirnoq' ichida yoziladi.",
		"ru": "Такого столбца или имени нет: сверьте его со столбцами в списке; текстовые значения пишутся в 'одинарных кавычках'.",
		"en": "There is no such column or name: compare it with the columns in the list; text values are written in 'single quotes'."}},
	{[]int{protocol.CodeUnknownTable, protocol.CodeUnknownDatabase}, reference.Names{
		"uz": "Bunday jadval yoʻq yoki uni siz oʻqiy olmaysiz: roʻyxatdagi jadvallardan birini tanlang.",
		"ru": "Такой таблицы нет, или вам нельзя её читать: выберите одну из таблиц в списке.",
		"en": "There is no such table, or you may not read it: take one of the tables in the list."}},
	{[]int{46}, reference.Names{
		"uz": "Bunday funksiya yoʻq: nomini yoza boshlang, taklif qilinganidan tanlang.",
		"ru": "Такой функции нет: начните писать имя и выберите из предложенных.",
		"en": "There is no such function: begin to write its name and take one of those offered."}},
	{[]int{protocol.CodeSyntaxError}, reference.Names{
		"uz": "Soʻrov notoʻgʻri yozilgan: koʻrsatilgan joydan oldingi vergul, qavs va qoʻshtirnoqlarni tekshiring.",
		"ru": "Запрос написан с ошибкой: проверьте запятые, скобки и кавычки перед указанным местом.",
		"en": "The statement is not written correctly: look at commas, brackets and quotation marks before the place that is named."}},
	{[]int{6, 27, 38, 41, 43, 53, 70, 72, 130, 321, 349, 386}, reference.Names{
		"uz": "Qiymatlarning turi mos kelmaydi, masalan, matn son bilan solishtirilgan: toString, toInt64 yoki toDate bilan bir turga keltiring.",
		"ru": "Виды значений не сходятся, например текст сравнивается с числом: приведите их к одному виду через toString, toInt64 или toDate.",
		"en": "Types of values do not fit, such as text held against a number: bring them to one type with toString, toInt64 or toDate."}},
	{[]int{34, 35, protocol.CodeBadArguments, 42, 44}, reference.Names{
		"uz": "Funksiyaga berilgan qiymatlar unga mos emas: soni, tartibi va turini tekshiring.",
		"ru": "Функции даны не те значения: проверьте их число, порядок и вид.",
		"en": "A function was given what it does not take: look at the number, order and type of its arguments."}},
	{[]int{184, 215}, reference.Names{
		"uz": "Yigʻindi bilan birga tanlangan har bir ustun GROUP BY da turishi kerak; yigʻindining ichida yigʻindi boʻlmaydi.",
		"ru": "Каждый столбец, выбранный рядом с итогом, должен стоять в GROUP BY; итог внутри итога не считается.",
		"en": "Each column that is selected beside an aggregate belongs into GROUP BY; an aggregate holds no other aggregate."}},
	{[]int{69, 153, 407}, reference.Names{
		"uz": "Nolga boʻlindi yoki son juda katta: boʻluvchini nullIf(…, 0) bilan oʻrang.",
		"ru": "Деление на ноль или слишком большое число: оберните делитель в nullIf(…, 0).",
		"en": "A division by zero, or a number that is too large: wrap the divisor in nullIf(…, 0)."}},
	{[]int{179, 207, 352}, reference.Names{
		"uz": "Bu nom bir nechta narsani bildiradi: oldiga jadval nomini yozing.",
		"ru": "Это имя означает несколько вещей: напишите перед ним имя таблицы.",
		"en": "This name means several things: write the table's name before it."}},
	{[]int{456, 457}, reference.Names{
		"uz": "Parametr qiymati yetishmaydi yoki uning turiga mos emas: parametrlar maydonini toʻldiring.",
		"ru": "Не хватает значения параметра, или оно не того вида: заполните поле параметров.",
		"en": "The value of a parameter is missing or not of its type: fill in the parameters."}},
	{[]int{protocol.CodeTimeoutExceeded, 160}, reference.Names{
		"uz": "Soʻrov berilgan vaqtga sigʻmadi: davrni qisqartiring, kamroq ustun oʻqing yoki oldin jamlang.",
		"ru": "Запрос не уложился в отведённое время: сократите период, читайте меньше столбцов или сначала сверните данные.",
		"en": "The statement did not end within its time: shorten the period, read fewer columns, or aggregate first."}},
	{[]int{protocol.CodeMemoryLimitExceeded}, reference.Names{
		"uz": "Soʻrovga berilgan xotira yetmadi: davrni qisqartiring yoki GROUP BY va JOIN dagi qiymatlarni kamaytiring.",
		"ru": "Запросу не хватило отведённой памяти: сократите период или число значений в GROUP BY и JOIN.",
		"en": "The statement needs more memory than it may have: shorten the period, or group and join by fewer values."}},
	{[]int{codeTooManyRows, codeTooManyRowsOrBytes, protocol.CodeTooManyBytes}, reference.Names{
		"uz": "Soʻrov ruxsat etilganidan koʻp oʻqiydi yoki qaytaradi: shart yoki LIMIT qoʻshing.",
		"ru": "Запрос читает или возвращает больше, чем можно: добавьте условие или LIMIT.",
		"en": "The statement reads or returns more than it may: add a condition or a LIMIT."}},
	{[]int{protocol.CodeQueryIsTooLarge, protocol.CodeTooBigTree, 167, protocol.CodeTooDeep}, reference.Names{
		"uz": "Soʻrov juda uzun yoki murakkab: uni qismlarga boʻling.",
		"ru": "Запрос слишком длинный или сложный: разделите его на части.",
		"en": "The statement is too long or too complex: divide it."}},
	{[]int{protocol.CodeAccessDenied, protocol.CodeReadonly, protocol.CodeUnknownSetting, 452}, reference.Names{
		"uz": "Bunga ruxsat yoʻq. Bu yerda faqat oʻqiladi: roʻyxatdagi jadvallardan SELECT, EXPLAIN, SHOW TABLES, DESCRIBE.",
		"ru": "Это не разрешено. Здесь можно только читать: SELECT из таблиц в списке, EXPLAIN, SHOW TABLES, DESCRIBE.",
		"en": "This is not allowed. Only reading is possible here: SELECT from the tables in the list, EXPLAIN, SHOW TABLES, DESCRIBE."}},
	{[]int{protocol.CodeUnknownFormat}, reference.Names{
		"uz": "Bunday format bu yerda yoʻq: FORMAT ni olib tashlang, eksport formati alohida tanlanadi.",
		"ru": "Такого формата здесь нет: уберите FORMAT, формат выгрузки выбирают отдельно.",
		"en": "There is no such format here: leave FORMAT out; exports have a format of their own."}},
	{[]int{protocol.CodeTooManySimultaneous}, reference.Names{
		"uz": "Hozir juda koʻp soʻrov bajarilmoqda: birozdan soʻng qayta urining.",
		"ru": "Сейчас выполняется слишком много запросов: попробуйте немного позже.",
		"en": "Too many statements run at this moment: try again a little later."}},
	{[]int{protocol.CodeUnavailable, protocol.CodeNetworkError, protocol.CodeStdException}, reference.Names{
		"uz": "Maʼlumotlar ombori javob bermayapti: birozdan soʻng qayta urining.",
		"ru": "Хранилище данных не отвечает: попробуйте немного позже.",
		"en": "The warehouse does not answer: try again a little later."}},
	{[]int{protocol.CodeQueryWasCancelled}, reference.Names{"uz": "Soʻrov bekor qilindi.", "ru": "Запрос отменён.", "en": "The statement was cancelled."}},
}

// refused is said of an exception of any other code.
var refused = reference.Names{
	"uz": "Soʻrov bajarilmadi. Maʼlumotlar ombori sababini oʻz soʻzlari bilan aytadi.",
	"ru": "Запрос не выполнен. Хранилище данных называет причину своими словами.",
	"en": "The statement was not carried out. The warehouse tells the reason in its own words."}

// toDo is what is said of an exception of a code.
func toDo(code int) reference.Names {
	for _, f := range faults {
		if slices.Contains(f.codes, code) {
			return f.said
		}
	}
	return refused
}
