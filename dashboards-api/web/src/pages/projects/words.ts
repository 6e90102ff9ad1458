import { inLanguages } from '../../words'

export const words = inLanguages({
  en: { title: 'Projects' },
  uz: { title: 'Loyihalar' },
  ru: { title: 'Проекты' },
})
