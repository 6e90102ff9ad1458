import { inLanguages } from '../../words'

export const words = inLanguages({
  en: { title: 'Settings' },
  uz: { title: 'Sozlamalar' },
  ru: { title: 'Настройки' },
})
