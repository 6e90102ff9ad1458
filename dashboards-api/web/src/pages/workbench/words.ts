import { inLanguages } from '../../words'

export const words = inLanguages({
  en: { title: 'Workbench' },
  uz: { title: 'Ish stoli' },
  ru: { title: 'Рабочий стол' },
})
