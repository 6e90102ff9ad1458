import { inLanguages } from '../../words'

export const words = inLanguages({
  en: { title: 'Services' },
  uz: { title: 'Xizmatlar' },
  ru: { title: 'Услуги' },
})
