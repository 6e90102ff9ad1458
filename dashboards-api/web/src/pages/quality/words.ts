import { inLanguages } from '../../words'

export const words = inLanguages({
  en: { title: 'Quality of data' },
  uz: { title: 'Ma’lumotlar sifati' },
  ru: { title: 'Качество данных' },
})
