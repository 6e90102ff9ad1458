import { inLanguages } from '../../words'

export const words = inLanguages({
  en: { title: 'Monday' },
  uz: { title: 'Dushanba' },
  ru: { title: 'Понедельник' },
})
