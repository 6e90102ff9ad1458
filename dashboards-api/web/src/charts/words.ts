import { inLanguages } from '../words'

// Words that stand within charts.
export const words = inLanguages({
  en: {
    chart: 'chart',
    flags: { in_force: '{act}: in force since {day}', due: '{act}: due on {day}', definition: 'New definition since {day}: {act}' },
    was: 'was {value}',
    correctedOn: 'corrected on {day}',
    closedOn: 'closed on {day}',
    comparedBefore: 'the period before',
    comparedYear: 'a year earlier',
    comparedWhole: 'the whole',
    mapOf: 'Map: {title}. Arrow keys go from the largest to the smallest, Enter opens.',
    mapCredit: 'Map',
    alike: '{n} of {all}, all the same',
    nothing: 'no figure',
    without: '{n} without cases are not drawn; the table has them.',
  },
  uz: {
    chart: 'diagramma',
    flags: { in_force: '{act}: {day} kunidan kuchda', due: '{act}: muddati {day}', definition: '{day} kunidan yangi taʼrif: {act}' },
    was: 'avval {value} edi',
    correctedOn: '{day} kuni tuzatilgan',
    closedOn: '{day} kuni yopilgan',
    comparedBefore: 'oldingi davr',
    comparedYear: 'bir yil oldin',
    comparedWhole: 'jami',
    mapOf: 'Xarita: {title}. Yoʻnalish tugmalari eng kattadan eng kichikka oʻtkazadi, Enter ochadi.',
    mapCredit: 'Xarita',
    alike: '{all} tadan {n} tasi, bir xil',
    nothing: 'koʻrsatkich yoʻq',
    without: 'Holatlari yoʻq {n} tasi chizilmagan; ular jadvalda bor.',
  },
  ru: {
    chart: 'диаграмма',
    flags: { in_force: '{act}: в силе с {day}', due: '{act}: срок {day}', definition: 'Новое определение с {day}: {act}' },
    was: 'было {value}',
    correctedOn: 'исправлено {day}',
    closedOn: 'закрыто {day}',
    comparedBefore: 'предыдущий период',
    comparedYear: 'годом ранее',
    comparedWhole: 'в целом',
    mapOf: 'Карта: {title}. Стрелки ведут от наибольшего к наименьшему, Enter открывает.',
    mapCredit: 'Карта',
    alike: '{n} из {all}, у всех одинаково',
    nothing: 'нет показателя',
    without: 'Не показаны {n} без случаев; они есть в таблице.',
  },
})

export type ChartWords = (typeof words)['en']
export const chartWords = (language: string): ChartWords => words[language] ?? words.en!
