import { inLanguages } from '../../words'

export const words = inLanguages({
  en: { title: 'Regions' },
  uz: { title: 'Hududlar' },
  ru: { title: 'Регионы' },
})
