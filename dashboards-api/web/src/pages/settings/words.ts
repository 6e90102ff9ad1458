import { inLanguages } from '../../words'

export const words = inLanguages({
  en: {
    title: 'Settings',
    here: 'They are kept in this browser.', account: 'They are kept with your account and follow you to other browsers.',
    language: 'Language', languageAbout: 'Of words, numbers and dates. A link that names a language opens in that one.',
    theme: 'Theme', themes: { system: 'As the machine', light: 'Light', dark: 'Dark' },
    start: 'Start page', startAbout: 'What opens at the address of Ombor. The name at the top always leads to the scorecard.',
    pages: { scorecard: 'Scorecard', monday: 'Monday page: what has changed', promises: 'Promises', projects: 'Projects' },
    looked: 'Since you looked', lookedOn: 'You looked last on {day}. What has changed since is on the Monday page.', never: 'You have not looked before today. The Monday page shows the last week.',
    you: 'You', roles: 'What you may do', agency: 'Agency', region: 'Region', nobody: 'You see what has been published.',
  },
  uz: {
    title: 'Sozlamalar',
    here: 'Ular shu brauzerda saqlanadi.', account: 'Ular hisobingizda saqlanadi va boshqa brauzerlarda ham amal qiladi.',
    language: 'Til', languageAbout: 'Soʻzlar, sonlar va sanalar tili. Til koʻrsatilgan havola oʻsha tilda ochiladi.',
    theme: 'Koʻrinish', themes: { system: 'Qurilmadagidek', light: 'Yorugʻ', dark: 'Qorongʻi' },
    start: 'Bosh sahifa', startAbout: 'Ombor manzilida nima ochiladi. Yuqoridagi nom har doim koʻrsatkichlarga olib boradi.',
    pages: { scorecard: 'Koʻrsatkichlar', monday: 'Dushanba varagʻi: nima oʻzgardi', promises: 'Vaʼdalar', projects: 'Loyihalar' },
    looked: 'Siz koʻrganingizdan beri', lookedOn: 'Siz oxirgi marta {day} kuni koʻrgansiz. Shundan beri nima oʻzgargani dushanba varagʻida.', never: 'Siz bugungacha koʻrmagansiz. Dushanba varagʻida soʻnggi hafta koʻrsatiladi.',
    you: 'Siz', roles: 'Vazifangiz', agency: 'Idora', region: 'Hudud', nobody: 'Siz eʼlon qilingan narsalarni koʻrasiz.',
  },
  ru: {
    title: 'Настройки',
    here: 'Они хранятся в этом браузере.', account: 'Они хранятся в вашей учётной записи и действуют и в других браузерах.',
    language: 'Язык', languageAbout: 'Слов, чисел и дат. Ссылка, в которой указан язык, открывается на нём.',
    theme: 'Оформление', themes: { system: 'Как на устройстве', light: 'Светлое', dark: 'Тёмное' },
    start: 'Начальная страница', startAbout: 'Что открывается по адресу Ombor. Название вверху всегда ведёт к показателям.',
    pages: { scorecard: 'Показатели', monday: 'Понедельник: что изменилось', promises: 'Обещания', projects: 'Проекты' },
    looked: 'С вашего прошлого просмотра', lookedOn: 'В прошлый раз вы смотрели {day}. Что изменилось с тех пор — на странице «Понедельник».', never: 'До сегодняшнего дня вы не смотрели. На странице «Понедельник» показана последняя неделя.',
    you: 'Вы', roles: 'Ваша роль', agency: 'Ведомство', region: 'Регион', nobody: 'Вы видите то, что опубликовано.',
  },
})
